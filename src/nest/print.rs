//! Printing of nests: the loops, and the functions inside them.
//!
//! In: a nest. Out: text for people and snapshots. Loads and stores are written as indexing by the axes they may move along.

use std::fmt::{self, Formatter, Write};

use loopweave_ir::text::print_func;

use super::matmul::MatMul;
use super::{AxisId, AxisRole, Leaf, Nest, OperandId, Order, Reduce, Role, Stride, Writes};

pub(super) fn print(nest: &Nest, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f, "nest {}", nest.name)?;
    for operand in &nest.operands {
        let role = match operand.role {
            Role::Input => "in ",
            Role::Output => "out",
            Role::Local => "row",
        };
        let stride = match operand.stride {
            Stride::Zero => "one element per vector axis",
            Stride::Unit => "contiguous",
            Stride::Across => "contiguous along the axis before",
            Stride::Any => "strided",
        };
        writeln!(f, "  {role} {}: {} {stride}", operand.name, operand.dtype)?;
    }
    let mut depth = 1;
    for axis in nest.outer() {
        indent(f, depth)?;
        writeln!(f, "for {}", name(nest, axis))?;
        depth += 1;
    }
    print_leaf(nest, &nest.leaf, depth, f)
}

fn print_leaf(nest: &Nest, leaf: &Leaf, depth: usize, f: &mut Formatter<'_>) -> fmt::Result {
    match leaf {
        Leaf::Map { map, loads, stores } => {
            indent(f, depth)?;
            let writes = match nest.writes {
                Writes::Plain => "",
                Writes::Ahead => ", lines fetched ahead for writing",
                Writes::Streamed => ", results streamed",
            };
            writeln!(f, "vector {}{}{writes}", name(nest, nest.vector_axis()), shape(nest))?;
            indent(f, depth + 1)?;
            writeln!(f, "{} = map({})", list(nest, stores), list(nest, loads))?;
            function(f, "map", &print_func(map), depth + 1)
        }
        Leaf::Reduce(reduce) => print_reduce(nest, reduce, depth, f),
        Leaf::MatMul(product) => print_matmul(nest, product, depth, f),
        Leaf::Rows(stages) => stages.iter().try_for_each(|stage| print_leaf(nest, stage, depth, f)),
    }
}

fn print_matmul(nest: &Nest, product: &MatMul, depth: usize, f: &mut Formatter<'_>) -> fmt::Result {
    let (tile, columns) = (product.tile, product.tile.columns());
    let [i, k, j] = [3, 2, 1].map(|back| name(nest, AxisId((nest.axes.len() - back) as u32)));
    let blocks = match tile.in_place {
        true => String::from("factors in place"),
        false => format!("{k} in blocks of {}, {j} in panels of {}", tile.depth, tile.panel),
    };
    indent(f, depth)?;
    writeln!(
        f,
        "matmul {i} x {j} over {k} in tiles of {} x {columns}, {blocks}{}",
        tile.rows,
        shape(nest)
    )?;
    indent(f, depth + 1)?;
    let (left, right) = (list(nest, &product.left.loads), list(nest, &product.right.loads));
    writeln!(
        f,
        "acc = combine(acc, left({left}), right({right})), starting from {:?}",
        product.zero
    )?;
    indent(f, depth)?;
    let extra = if product.finish_loads.is_empty() {
        String::new()
    } else {
        format!(", {}", list(nest, &product.finish_loads))
    };
    writeln!(f, "{} = finish(acc{extra})", list(nest, &product.stores))?;
    nest.leaf
        .functions()
        .iter()
        .try_for_each(|(role, func)| function(f, role, &print_func(func), depth))
}

fn print_reduce(nest: &Nest, reduce: &Reduce, depth: usize, f: &mut Formatter<'_>) -> fmt::Result {
    let reduced: Vec<&str> = nest.reduced().map(|a| name(nest, a)).collect();
    let reduced = reduced.join(", ");
    indent(f, depth)?;
    match reduce.order {
        Order::Lanes { lanes, block } => write!(f, "reduce {reduced} in blocks of {block} over {lanes} lanes")?,
        Order::Chain { block } => write!(f, "reduce {reduced} in blocks of {block}, row by row")?,
    }
    if nest.is_across() {
        write!(f, ", vector {}", name(nest, nest.vector_axis()))?;
    }
    writeln!(f, "{}", shape(nest))?;
    indent(f, depth + 1)?;
    let init = match &reduce.init {
        None => String::from("nothing is refused"),
        Some(init) if reduce.apply_init => format!("starting from {init:?}"),
        Some(init) => format!("{init:?} for nothing"),
    };
    writeln!(f, "acc = combine(acc, map({})), {init}", list(nest, &reduce.loads))?;
    indent(f, depth)?;
    let extra = if reduce.finish_loads.is_empty() {
        String::new()
    } else {
        format!(", {}", list(nest, &reduce.finish_loads))
    };
    writeln!(f, "{} = finish(acc, count{extra})", list(nest, &reduce.stores))?;
    function(f, "map", &print_func(&reduce.map), depth)?;
    function(f, "combine", &print_func(&reduce.combine), depth)?;
    function(f, "finish", &print_func(&reduce.finish), depth)
}

fn shape(nest: &Nest) -> String {
    match (nest.vector.lanes, nest.vector.unroll) {
        (1, 1) => String::from("  (scalar)"),
        (lanes, unroll) => format!("  ({lanes} lanes x {unroll})"),
    }
}

fn name(nest: &Nest, axis: AxisId) -> &str {
    &nest.axes[axis.index()].name
}

/// The operands, indexed by all axes they can depend on.
fn list(nest: &Nest, operands: &[OperandId]) -> String {
    let mut text = String::new();
    for (i, &id) in operands.iter().enumerate() {
        let operand = nest.operand(id);
        let is_result = match nest.leaf {
            // A row has an element for each index of the reduced axes, or one for all.
            Leaf::Rows(_) => nest.is_of_result(id),
            _ => operand.role == Role::Output || nest.leaf.finish_loads().contains(&id),
        };
        let absent = |axis: usize| match &nest.leaf {
            // A factor has no extent along the rows or columns of the other.
            Leaf::MatMul(product) => {
                (product.left.loads.contains(&id) && axis + 1 == nest.axes.len())
                    || (product.right.loads.contains(&id) && axis + 3 == nest.axes.len())
            }
            Leaf::Map { .. } | Leaf::Reduce(_) | Leaf::Rows(_) => false,
        };
        let axes: Vec<&str> = nest
            .axes
            .iter()
            .enumerate()
            .filter(|(i, axis)| !(is_result && axis.role == AxisRole::Reduced || absent(*i)))
            .map(|(_, axis)| axis.name.as_str())
            .collect();
        let comma = if i > 0 { ", " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{}[{}]", operand.name, axes.join(", "));
    }
    text
}

fn function(f: &mut Formatter<'_>, role: &str, text: &str, depth: usize) -> fmt::Result {
    indent(f, depth)?;
    writeln!(f, "where {role} is")?;
    for line in text.lines() {
        indent(f, depth + 1)?;
        writeln!(f, "{line}")?;
    }
    Ok(())
}

fn indent(f: &mut Formatter<'_>, depth: usize) -> fmt::Result {
    (0..depth).try_for_each(|_| f.write_str("  "))
}
