//! Reports: what a program's last call did, loop by loop, and why, for people, for tools and for tests.
//!
//! In: a program's stages ([`gather`]). Out: a [`Report`], which prints at four levels of detail ([`Report::text`]), is
//! stable JSON ([`Report::json`]), draws itself for Graphviz ([`Report::dot`]) and as a page ([`Report::html`]), and asserts
//! for tests what it says ([`Report::assert_parallel`] and its kin).
//!
//! Invariants: everything is named by the user's names; where two ops have one name, their positions in [`Report::ops`] tell
//! them apart. The order of fields and items is that of the program, so that two reports of one program and layout differ in
//! nothing but measured times.
//!
//! # The JSON
//!
//! Its fields are those of [`Report`] and of the types in it, under the same names. Enums are strings in kebab-case; those
//! with fields ([`Order`], [`Note`], [`LoopKind`], [`Choice`]) are objects whose field `kind` or `code` is that string.
//! `null` stands for what is not known at the report's [`Stage`]. Sizes are bytes and times nanoseconds, as integers.
//! [`VERSION`] grows when a field changes its meaning or goes; new fields may come without that.

pub(crate) mod gather;
mod hoist;
mod traffic;

mod json;

mod text;
mod words;

#[cfg(feature = "cli")]
pub(crate) mod plan;

mod dot;
mod drawing;

mod html;
mod layout;
mod svg;

mod check;

use loopweave_ir::text::Source;
use loopweave_ir::text::ast::Span;
use serde::{Deserialize, Serialize};

pub use self::html::Listing;
pub use crate::codegen::bound::{Bound, Choice, LoopKind, Part};
pub use crate::nest::Order;
pub use crate::nest::matmul::Tile;
pub use crate::nest::schedule::Note;
pub use crate::runtime::parallel::SerialReason;

/// The version of the JSON's schema.
pub const VERSION: u32 = 1;

/// What is known of a program and its last call.
///
/// ```
/// use loopweave::graph::{Named, build::GraphBuilder};
/// use loopweave::ir::{Dtype, trace};
/// use loopweave::pipeline::{Options, Program};
/// let mut g = GraphBuilder::new("energy");
/// let x = g.input("x", Dtype::F32, 1);
/// let squares = g.map(&trace("square", |[x]| x * x)?, &[x])?;
/// let energy = g.reduce(Named::Sum, squares, None, false)?;
/// g.output("energy", energy);
/// let program = Program::compile(g.finish()?, &Options::native()?)?;
/// let report = program.report();
/// report.assert_groups(1).assert_fused(["square", "sum"]);
/// println!("{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`] of the loopweave that made the report.
    pub version: u32,
    /// The program's name.
    pub program: String,
    /// How far the program has come, and so what is known of it.
    pub stage: Stage,
    /// What it was compiled for; `None` before the first call of a kernel that takes any dtypes.
    pub options: Option<Options>,
    /// The arrays of the program, arguments before users.
    pub ops: Vec<Op>,
    /// The results of the program, in order.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// The kernels, in the order in which they run.
    pub groups: Vec<Group>,
    /// What fusion decided of each edge between two computed arrays, and of ops that read the same array.
    pub decisions: Vec<Decision>,
    /// What a call moves and computes.
    #[serde(default)]
    pub work: Option<Work>,
    /// The memory of a call.
    pub memory: Option<Memory>,
    /// How long scheduling and compiling for this layout took; nearly nothing where the kernels were there already.
    pub prepare_ns: Option<u64>,
}

/// How far a program has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A function without dtypes: only its name is known.
    Traced,
    /// Dtypes, ranks and groups are known; nothing has been scheduled, as no call has brought shapes.
    Planned,
    /// Scheduled for the layouts of a call.
    Scheduled,
}

/// What a program is compiled for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The target's name.
    pub target: String,
    /// The kind of cores that it is taken to have, a row of [`microarchitecture`](crate::target::microarchitecture); `None`
    /// where nothing is known of them.
    #[serde(default)]
    pub core: Option<String>,
    /// The threads that calls may use, the caller's included.
    pub threads: usize,
    /// The fast-math permissions, as a comma list; `none` for strict arithmetic.
    pub fast: String,
}

/// One array of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// The user's name for it.
    pub name: String,
    /// What makes it: `input`, `constant`, `map`, `permute` …, or the name of a reduction.
    pub kind: String,
    /// The function that a map applies.
    #[serde(default)]
    pub function: Option<String>,
    /// The arrays that it is made from, as positions in [`Report::ops`].
    #[serde(default)]
    pub args: Vec<usize>,
    /// The element type.
    pub dtype: String,
    /// The number of axes.
    pub rank: usize,
    /// The extents in the last call.
    pub shape: Option<Vec<usize>>,
    /// Where it stands in the text, once [`Report::locate`] was given the text.
    pub position: Option<Position>,
    #[serde(skip)]
    span: Span,
}

/// A result of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// The array that it is, as a position in [`Report::ops`].
    pub op: usize,
}

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// One kernel: the ops that one loop nest computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// A name from the user's names.
    pub name: String,
    /// What it loops for.
    pub kind: Kind,
    /// The ops it computes, arguments before users.
    pub members: Vec<String>,
    /// The same as positions in [`Report::ops`].
    #[serde(default)]
    pub ops: Vec<usize>,
    /// Those of them whose arrays it stores.
    #[serde(default)]
    pub stores: Vec<usize>,
    /// Its scalar functions, in basic ops.
    pub functions: Vec<Function>,
    /// The functions among its ops whose results are not correctly rounded.
    pub accuracy: Vec<Accuracy>,
    /// Its loops in the last call.
    pub schedule: Option<Schedule>,
    /// Its machine code.
    pub code: Option<Code>,
}

/// What a group loops for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Elements, one by one.
    Map,
    /// Reductions, with elementwise functions before and after.
    Reduce,
    /// A matrix product, with elementwise functions before and after.
    MatMul,
    /// Maps and reductions that take turns row by row.
    Rows,
}

/// A scalar function of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// What it does in the nest: `map`, `combine`, `finish`.
    pub role: String,
    /// Its text.
    pub text: String,
}

/// The error bound of a function that is computed from basic ops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// The function.
    pub op: String,
    /// The dtype it is computed in.
    pub dtype: String,
    /// Which of the two tiers its form is of, `precise` or `fast`; a function without a fast form is `precise` in both.
    #[serde(default)]
    pub tier: String,
    /// The largest distance from the exact value, in units in the last place.
    pub max_ulp: f64,
}

/// A group's loops for the layouts of one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The loops, outermost first.
    pub loops: Vec<Loop>,
    /// Why no loop is parallel, where none is.
    pub serial: Option<SerialReason>,
    /// The order in which a reduction combines its elements.
    pub order: Option<Order>,
    /// The blocks of a matrix product.
    #[serde(default)]
    pub blocks: Option<Tile>,
    /// The innermost loops of the code, one for each map or reduction.
    #[serde(default)]
    pub vector_loops: Vec<VectorLoop>,
    /// What is computed before the vector loop, as it is the same for all of it.
    #[serde(default)]
    pub hoisted: Vec<Hoisted>,
    /// What the schedule did and what it could not do.
    pub notes: Vec<Note>,
    /// The arrays that are read, then those that are written.
    pub operands: Vec<Operand>,
    /// Bytes read, each operand's elements once.
    pub bytes_read: usize,
    /// Bytes written.
    pub bytes_written: usize,
    /// Arithmetic operations on elements; a function counts as the basic ops it is computed from.
    pub flops: usize,
    /// Flops per byte read or written, to two digits; `None` where nothing is.
    pub intensity: Option<f64>,
}

/// An innermost loop of a kernel's code, why it does as much in an iteration as it does, and how fast it can be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorLoop {
    /// What it computes.
    pub computes: LoopKind,
    /// Its lanes, and vectors per iteration.
    pub vector: Vector,
    /// Why so many vectors.
    pub choice: Choice,
    /// How long an element takes; `None` where nothing is known of the target's cores.
    pub estimate: Option<Estimate>,
}

/// The time that an element of a vector loop takes, as far as that can be told of its instructions alone: where its arrays are
/// aligned and in the first-level cache. `cargo bench --bench bounds` has the times that were measured beside it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Cycles an element: the longest of the parts.
    pub cycles: f64,
    /// Which part that is.
    pub by: Part,
    /// Cycles an element by what takes them; all of it goes on at once.
    pub parts: Bound,
}

/// What a function of a nest has ready before the vector loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hoisted {
    /// The vector loop.
    pub axis: String,
    /// The loops around it, outermost first: it is done once for each of their indices.
    pub outer: Vec<String>,
    /// What is loaded or computed there, as the text of its function has it.
    pub values: Vec<String>,
    /// Further constants that the loop uses.
    pub constants: usize,
}

/// One loop of a nest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loop {
    /// The name of its axis: the extent's in the program, or i, j, k …; `n·m` for axes that became one.
    pub name: String,
    /// What it means for the results.
    pub role: Role,
    /// Its length in this call.
    pub extent: usize,
    /// How it is shared among threads, if it is.
    pub parallel: Option<Parallel>,
    /// How it is vectorised, if it is.
    pub vector: Option<Vector>,
    /// The side of the tiles it runs in, if it does.
    pub tile: Option<usize>,
}

/// What a loop means for the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Each index has results of its own.
    Kept,
    /// All indices contribute to the same results.
    Reduced,
}

/// How a loop is shared among threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parallel {
    /// What parts are made of.
    pub unit: Unit,
    /// Units per part.
    pub grain: usize,
    /// The number of parts.
    pub parts: usize,
    /// The most threads that work on them at once.
    pub threads: usize,
}

/// What the parts of a parallel loop are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Indices of the loop.
    Indices,
    /// Blocks of the reduction's elements, as its [`Order`] counts them.
    Blocks,
}

/// How a loop is vectorised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vector {
    /// Elements computed at once.
    pub lanes: u32,
    /// Vectors per iteration.
    pub unroll: u32,
}

/// An array of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operand {
    /// The user's name for it.
    pub name: String,
    /// Whether it is read or written.
    pub access: Access,
    /// The element type in memory.
    pub dtype: String,
    /// How its elements lie along the innermost loop.
    pub stride: Stride,
    /// The bytes of the elements that are reached, each once.
    pub bytes: usize,
}

/// Whether an operand is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Access {
    Read,
    Written,
    Local,
}

/// How an operand's elements lie along the innermost loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stride {
    /// One element serves the whole loop.
    Same,
    /// Neighbours in memory.
    Contiguous,
    /// Neighbours in memory along the loop before.
    Across,
    /// At any other distance.
    Strided,
}

/// A group's machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// Bytes of machine code.
    pub bytes: usize,
    /// From the nest to the code generator's IR.
    pub emit_ns: u64,
    /// From there to machine code.
    pub compile_ns: u64,
    /// Relocation, and making the memory executable.
    pub load_ns: u64,
}

/// What fusion decided of two ops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether the two read the same array, instead of one what the other makes.
    pub siblings: bool,
    /// The op whose array would pass between the two; of siblings, the first.
    pub producer: String,
    /// The op that reads it; of siblings, the second.
    pub consumer: String,
    /// The two as positions in [`Report::ops`].
    #[serde(default)]
    pub ops: Option<[usize; 2]>,
    /// Whether one kernel computes both.
    pub fused: bool,
    /// The rule that fused them, or the reason that kept them apart.
    pub code: String,
    /// The same in words.
    pub words: String,
    /// Bytes that are not written or read because the two are fused, in this call.
    pub saved_bytes: Option<usize>,
}

/// What a call moves and computes, and what it would move without fusion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// The kernels there would be with one for each op.
    pub unfused_kernels: usize,
    /// The bytes that those would read and write.
    pub unfused_bytes: usize,
    /// The bytes that are read and written.
    pub bytes: usize,
    /// Arithmetic operations on elements.
    pub flops: usize,
    /// Flops per byte read or written, to two digits; `None` where nothing is.
    pub intensity: Option<f64>,
}

/// The memory of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes of the arena for arrays that pass between groups; those that are not needed at the same time share them.
    pub intermediate_bytes: usize,
    /// The bytes that those arrays would take side by side. A report of an older loopweave does not say.
    #[serde(default)]
    pub unshared_bytes: usize,
    /// Bytes of all arrays at once: inputs, outputs and intermediate ones.
    pub peak_bytes: usize,
}

impl Report {
    /// The report of a function that has not met any dtypes.
    pub(crate) fn uncalled(name: &str) -> Report {
        Report {
            version: VERSION,
            program: name.to_owned(),
            stage: Stage::Traced,
            options: None,
            ops: Vec::new(),
            outputs: Vec::new(),
            groups: Vec::new(),
            decisions: Vec::new(),
            work: None,
            memory: None,
            prepare_ns: None,
        }
    }

    /// The report with the place of each op in the text that the program was made from.
    pub fn locate(mut self, source: &Source) -> Report {
        for op in self.ops.iter_mut().filter(|op| op.span.end > op.span.start) {
            let (line, column) = source.position(op.span.start);
            op.position = Some(Position { line, column });
        }
        self
    }
}
