//! Graphs as text, for people and snapshots.
//!
//! In: a [`Graph`]. Out: a line per node with its op, dtype, axes and name, and the body of a map whose op does not say it all.

use std::fmt::{self, Formatter};

use loopweave_ir::text::print_func;
use loopweave_ir::{Func, Op};

use super::error::count;
use super::{ArrayOp, Dim, Graph, Node, Reduction, Slice, View};

pub(super) fn print(graph: &Graph, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f, "graph {}", graph.name)?;
    for (id, node) in graph.iter() {
        write!(f, "  {id} = ")?;
        op(node, f)?;
        writeln!(f, "  {}  {:?}", array_type(node), node.name)?;
        if let ArrayOp::Map(func) = &node.op
            && !is_plain(func)
        {
            body(func, f)?;
        }
        if let ArrayOp::Reduce {
            reduction: Reduction::Custom { combine, .. },
            ..
        } = &node.op
        {
            body(combine, f)?;
        }
    }
    for (i, (name, id)) in graph.outputs.iter().enumerate() {
        write!(f, "  output {name:?} = {id}")?;
        match graph.output_dims.get(i) {
            Some(dims) if !dims.is_empty() => writeln!(f, "  {}", list(dims.iter().map(open_dim)))?,
            _ => writeln!(f)?,
        }
    }
    Ok(())
}

fn op(node: &Node, f: &mut Formatter<'_>) -> fmt::Result {
    let args: Vec<String> = node.args.iter().map(ToString::to_string).collect();
    let args = args.join(", ");
    match &node.op {
        ArrayOp::Input { .. } => write!(f, "input"),
        ArrayOp::Constant(value) => write!(f, "{value}"),
        ArrayOp::Map(func) => write!(f, "{}({args})", func.name()),
        ArrayOp::Reduce {
            reduction,
            axes,
            keepdims,
        } => {
            match reduction {
                Reduction::Named(named) => write!(f, "{}({args}", named.name())?,
                Reduction::Custom { combine, init } => write!(f, "reduce({args}, {}, init = {init}", combine.name())?,
            }
            write!(f, ", axis = {axes:?}")?;
            f.write_str(if *keepdims { ", keepdims = true)" } else { ")" })
        }
        ArrayOp::MatMul => write!(f, "matmul({args})"),
        ArrayOp::View(View::Permute(axes)) => write!(f, "permute({args}, {axes:?})"),
        ArrayOp::View(View::Slice(slices)) => write!(f, "{args}{}", list(slices.iter().map(slice))),
        ArrayOp::View(View::Broadcast(dims)) => write!(f, "broadcast({args}, {})", list(dims.iter().map(dim))),
        ArrayOp::View(View::Reshape(dims)) => write!(f, "reshape({args}, {})", list(dims.iter().map(open_extent))),
    }
}

/// `f32[n, 4]` for an input, `f32[2 axes]` for what is computed, `f32` without axes.
fn array_type(node: &Node) -> String {
    match &node.op {
        _ if node.rank == 0 => node.dtype.to_string(),
        ArrayOp::Input { dims } => format!("{}{}", node.dtype, list(dims.iter().map(open_dim))),
        _ => format!("{}[{}]", node.dtype, count(node.rank, "axis", "axes")),
    }
}

/// Whether the function is one op on its parameters in order, so that its name says everything.
fn is_plain(func: &Func) -> bool {
    let arity = func.params().len();
    let [result] = func.results() else { return false };
    let node = func.node(*result);
    let in_order = |(i, arg): (usize, &loopweave_ir::ExprId)| func.node(*arg).op == Op::Param(i as u32);
    let named = node.op.name() == func.name() || matches!(node.op, Op::Cast(to) if to.name() == func.name());
    func.nodes().len() == arity + 1 && named && node.args.iter().enumerate().all(in_order)
}

fn body(func: &Func, f: &mut Formatter<'_>) -> fmt::Result {
    print_func(func)
        .trim_end()
        .lines()
        .try_for_each(|line| writeln!(f, "       {line}"))
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    format!("[{}]", items.join(", "))
}

fn dim(dim: &Dim) -> String {
    match dim {
        Dim::Name(name) => name.clone(),
        Dim::Fixed(extent) => extent.to_string(),
    }
}

fn open_dim(declared: &Option<Dim>) -> String {
    declared.as_ref().map_or("?".to_owned(), dim)
}

fn open_extent(extent: &Option<Dim>) -> String {
    extent.as_ref().map_or("-1".to_owned(), dim)
}

fn slice(slice: &Slice) -> String {
    let end = |end: Option<i64>| end.map_or(String::new(), |end| end.to_string());
    match *slice {
        Slice::At(index) => index.to_string(),
        Slice::New => "newaxis".to_owned(),
        Slice::Range { start, stop, step: 1 } => format!("{}:{}", end(start), end(stop)),
        Slice::Range { start, stop, step } => format!("{}:{}:{step}", end(start), end(stop)),
    }
}
