//! Loopweave's side of the comparison with other libraries: `benches/peers/run` builds it and speaks with it.
//!
//! In: the number of threads as the argument, then the requests of [`protocol`]. Knows no row: programs come as text. Each is
//! offered in four ways: strict and with `fast(contract)`, each through the public call and bound (`Kernel::bind`, as a peer's
//! inner function is called by compiled code).

#[path = "protocol.rs"]
mod protocol;

use bytemuck::Pod;
use loopweave::ir::Element;
use loopweave::ir::simplify::Fast;
use loopweave::jit;
use loopweave::runtime::args::Args;
use loopweave::runtime::lend::Lend;
use loopweave::runtime::view::{Arg, ArgMut, View};
use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};
use protocol::{Array, Case, Error, Memory, Way};
use smallvec::SmallVec;

fn main() -> Result<(), Error> {
    let threads = std::env::args()
        .nth(1)
        .ok_or("expected the number of threads")?
        .parse()?;
    protocol::serve(|case| open(case, threads), || None)
}

fn open(case: &Case, threads: usize) -> Result<Vec<Way<'static>>, Error> {
    let inputs = case.inputs.iter().map(|array| Read::of(&array.dtype));
    let inputs: Vec<Read> = inputs.collect::<Result<_, _>>()?;
    let write = Write::of(&case.output)?;
    let mut ways = Vec::new();
    for (fast, name) in [(Fast::NONE, ""), ("contract".parse()?, " contract")] {
        let kernel = jit::kernel(&case.text)?.threads(threads)?.fast(fast);
        let (reads, called) = (inputs.clone(), kernel.clone());
        ways.push(Way {
            name: format!("loopweave{name}"),
            batch: Box::new(move |calls, memory, output| {
                let inputs = arrays(&reads, memory)?;
                let mut output = (write.0)(output)?;
                for _ in 0..calls {
                    called.call_into(Inputs(&inputs), &mut *output)?;
                }
                Ok(())
            }),
        });
        let reads = inputs.clone();
        ways.push(Way {
            name: format!("loopweave{name} bound"),
            batch: Box::new(move |calls, memory, output| {
                let inputs = arrays(&reads, memory)?;
                let mut output = (write.0)(output)?;
                let mut bound = kernel.bind(Inputs(&inputs), &mut *output)?;
                (0..calls).for_each(|_| bound.run());
                Ok(())
            }),
        });
    }
    Ok(ways)
}

fn arrays<'a>(reads: &[Read], memory: &'a [Memory]) -> Result<Vec<Box<dyn Arg + 'a>>, Error> {
    reads
        .iter()
        .zip(memory)
        .map(|(read, memory)| (read.0)(memory))
        .collect()
}

/// As many arguments as there are.
struct Inputs<'a>(&'a [Box<dyn Arg + 'a>]);

impl Args for Inputs<'_> {
    type Views<'a>
        = SmallVec<[View<'a>; 8]>
    where
        Self: 'a;

    fn views(&self) -> SmallVec<[View<'_>; 8]> {
        self.0.iter().map(|array| array.view()).collect()
    }
}

impl<'a> Lend<'a> for Inputs<'a> {
    fn lend(self) -> Vec<View<'a>> {
        self.0.iter().map(|array| array.view()).collect()
    }
}

/// Reads memory as an `ndarray` of one element type.
#[derive(Clone, Copy)]
struct Read(for<'a> fn(&'a Memory) -> Result<Box<dyn Arg + 'a>, Error>);

/// Writes to memory as one.
#[derive(Clone, Copy)]
struct Write(for<'a> fn(&'a mut Memory) -> Result<Box<dyn ArgMut + 'a>, Error>);

impl Read {
    fn of(dtype: &str) -> Result<Read, Error> {
        fn read<T: Element + Pod>(memory: &Memory) -> Result<Box<dyn Arg + '_>, Error> {
            let array = ArrayViewD::<T>::from_shape(IxDyn(&memory.shape), memory.elements())?;
            Ok(Box::new(array))
        }
        Ok(Read(match dtype {
            "f32" => read::<f32>,
            "f64" => read::<f64>,
            "i32" => read::<i32>,
            "i64" => read::<i64>,
            other => return Err(format!("no rows of {other}").into()),
        }))
    }
}

impl Write {
    fn of(array: &Array) -> Result<Write, Error> {
        fn write<T: Element + Pod>(memory: &mut Memory) -> Result<Box<dyn ArgMut + '_>, Error> {
            let shape = memory.shape.clone();
            let array = ArrayViewMutD::<T>::from_shape(IxDyn(&shape), memory.elements_mut())?;
            Ok(Box::new(array))
        }
        Ok(Write(match array.dtype.as_str() {
            "f32" => write::<f32>,
            "f64" => write::<f64>,
            "i32" => write::<i32>,
            "i64" => write::<i64>,
            other => return Err(format!("no rows of {other}").into()),
        }))
    }
}
