//! Bounds: what an iteration of a leaf's main loop asks of a core.
//!
//! In: an assembly, and the kind of core. Out: its [`Demand`]. What stands behind a branch that is seldom not taken is not
//! counted, nor are moves between registers, which cores make by renaming.

use iced_x86::Mnemonic;
use regalloc2::RegClass;

use super::asm::{Arg, Assembly, Block, BlockId, End, Inst, Reg};
use crate::codegen::bound::Demand;
use crate::target::microarchitecture::{Kind, Microarchitecture, Quotient};

/// The instructions of an iteration, branches included, and those of them that no unit for vectors sees.
pub(super) fn counts(asm: &Assembly) -> (usize, usize) {
    let blocks = iteration(asm);
    let branches = blocks.iter().filter(|b| matches!(b.end, End::Branch(..))).count();
    let insts = || blocks.iter().flat_map(|block| &block.insts);
    let scalar = insts().filter(|inst| matches!(work(inst), Work::Scalar)).count();
    (insts().count() + branches, scalar + branches)
}

/// What an iteration asks of a core.
pub(super) fn demand(asm: &Assembly, core: &'static Microarchitecture) -> Demand {
    let mut demand = Demand::of(core);
    let mut times = Times::new(asm);
    let blocks = iteration(asm);
    if let Some(header) = blocks.first() {
        for &param in &header.params {
            times.set(param, 0.0, Some(0.0));
        }
    }
    for (i, block) in blocks.iter().enumerate() {
        for inst in &block.insts {
            times.follow(inst, latency(inst, core), core.load_latency);
            ask(&mut demand, inst);
        }
        if let End::Jump(_, args) = &block.end {
            let next = blocks.get(i + 1);
            match next {
                Some(next) => times.pass(args, &next.params),
                None => demand.chain = args.iter().filter_map(|&arg| times.carried(arg)).fold(0.0, f64::max),
            }
        }
    }
    demand.path = times.longest;
    demand
}

/// The blocks of an iteration of the main loop, as they run where no branch is seldom taken.
fn iteration(asm: &Assembly) -> Vec<&Block> {
    let mut blocks = Vec::new();
    let Some(header) = asm.main else { return blocks };
    let mut at: BlockId = header;
    loop {
        let block = &asm.blocks[at.index()];
        blocks.push(block);
        at = match block.end {
            End::Jump(to, _) | End::Branch(_, to, _) => to,
            End::Return => return Vec::new(),
        };
        if at == header {
            return blocks;
        }
        if blocks.len() > asm.blocks.len() {
            return Vec::new();
        }
    }
}

/// Which units an instruction is for.
enum Work {
    /// So many instructions of a kind.
    Compute(Kind, f64),
    Divide(Quotient),
    /// None beside those for memory.
    Move,
    Scalar,
}

fn work(inst: &Inst) -> Work {
    use Mnemonic::*;
    let of = |kind| Work::Compute(kind, 1.0);
    let gives_mask = matches!(inst.args.first(), Some(Arg::Def(to)) if to.vreg.class() == RegClass::Vector);
    match inst.code.mnemonic() {
        Vaddps | Vaddpd | Vsubps | Vsubpd | Vminps | Vminpd | Vmaxps | Vmaxpd | Vrangeps | Vrangepd => of(Kind::Add),
        Vmulps | Vmulpd | Vscalefps | Vscalefpd => of(Kind::Multiply),
        Vfmadd213ps | Vfmadd213pd | Vfmadd231ps | Vfmadd231pd | Vfmsub213ps | Vfmsub213pd | Vfmsub231ps
        | Vfmsub231pd | Vfnmadd213ps | Vfnmadd213pd | Vfnmadd231ps | Vfnmadd231pd | Vfnmsub213ps | Vfnmsub213pd
        | Vfnmsub231ps | Vfnmsub231pd => of(Kind::MultiplyAdd),
        Vdivps => Work::Divide(Quotient::DivF32),
        Vdivpd => Work::Divide(Quotient::DivF64),
        Vsqrtps => Work::Divide(Quotient::SqrtF32),
        Vsqrtpd => Work::Divide(Quotient::SqrtF64),
        Vcmpps | Vcmppd if !gives_mask => of(Kind::Compare),
        Vcmpps | Vcmppd | Vpcmpb | Vpcmpw | Vpcmpd | Vpcmpq | Vpcmpub | Vpcmpuw | Vpcmpud | Vpcmpuq | Vptestmb => {
            of(Kind::CompareToMask)
        }
        Kandq | Kandnq | Korq | Kxorq | Knotq | Kortestb | Kortestw | Kortestd | Kortestq => of(Kind::MaskLogic),
        Kmovq | Kshiftrq | Vptest | Vmovd | Vmovq | Vpextrq => of(Kind::MaskMove),
        Vpblendvb => of(Kind::Blend),
        Vpsllw | Vpslld | Vpsllq | Vpsrlw | Vpsrld | Vpsrlq | Vpsraw | Vpsrad | Vpsraq | Vpsllvw | Vpsllvd
        | Vpsllvq | Vpsrlvw | Vpsrlvd | Vpsrlvq | Vpsravw | Vpsravd | Vpsravq => of(Kind::Shift),
        Vpmulld => of(Kind::IntegerMultiply),
        Vpmullq => Work::Compute(Kind::IntegerMultiply, 1.5),
        Vpmullw | Vpmuludq => Work::Compute(Kind::IntegerMultiply, 0.5),
        Vcvtdq2ps | Vcvtudq2ps | Vcvtqq2pd | Vcvtuqq2pd | Vcvttps2dq | Vcvttps2udq | Vcvttpd2qq | Vcvttpd2uqq => {
            of(Kind::Convert)
        }
        Vcvtps2pd | Vcvtpd2ps | Vcvtph2ps | Vcvtps2ph | Vcvtdq2pd | Vcvtudq2pd | Vcvtqq2ps | Vcvtuqq2ps
        | Vcvttps2qq | Vcvttps2uqq | Vcvttpd2dq | Vcvttpd2udq => of(Kind::Resize),
        Vroundps | Vroundpd | Vrndscaleps | Vrndscalepd => of(Kind::Round),
        Vpmovwb | Vpmovdb | Vpmovqb | Vpmovdw | Vpmovqw | Vpmovqd => Work::Compute(Kind::Shuffle, 2.0),
        Vpbroadcastb | Vpbroadcastw | Vpbroadcastd | Vpbroadcastq if reads_memory(inst) => Work::Move,
        Vpmovsxbw | Vpmovsxbd | Vpmovsxbq | Vpmovsxwd | Vpmovsxwq | Vpmovsxdq | Vpmovzxbw | Vpmovzxbd | Vpmovzxbq
        | Vpmovzxwd | Vpmovzxwq | Vpmovzxdq | Vpbroadcastb | Vpbroadcastw | Vpbroadcastd | Vpbroadcastq | Vpshufb
        | Vpunpcklwd | Vpunpckldq | Vpunpcklqdq | Vpunpckhqdq | Vpermps | Vpermt2d | Vpermt2q | Vpshufd
        | Vshufi64x2 | Vperm2i128 | Vextracti128 => of(Kind::Shuffle),
        Vmovups | Vmovntps | Vmovdqu8 | Vmovdqu16 | Vmovdqu32 | Vmovdqu64 | Vpmaskmovd | Vpmaskmovq => Work::Move,
        _ if vectors(inst).next().is_some() => of(Kind::Simple),
        _ => Work::Scalar,
    }
}

/// Its registers that hold vectors.
fn vectors(inst: &Inst) -> impl Iterator<Item = Reg> {
    let regs = inst.args.iter().filter_map(|arg| match arg {
        Arg::Use(reg) | Arg::Def(reg) | Arg::Update { to: reg, .. } => Some(*reg),
        Arg::Memory(_) | Arg::Const(_) | Arg::Byte(_) | Arg::Word(_) => None,
    });
    regs.filter(|reg| reg.vreg.class() == RegClass::Float)
}

fn bytes(inst: &Inst) -> usize {
    vectors(inst).map(|reg| usize::from(reg.bytes)).max().unwrap_or(16)
}

fn is_prefetch(inst: &Inst) -> bool {
    use Mnemonic::*;
    matches!(inst.code.mnemonic(), Prefetcht0 | Prefetcht1 | Prefetchw)
}

fn reads_memory(inst: &Inst) -> bool {
    let is_memory = |arg: &Arg| matches!(arg, Arg::Memory(_) | Arg::Const(_));
    let has_address_only = inst.code.mnemonic() == Mnemonic::Lea;
    !has_address_only && (inst.args.iter().skip(1).any(is_memory) || is_prefetch(inst))
}

fn writes_memory(inst: &Inst) -> bool {
    matches!(inst.args.first(), Some(Arg::Memory(_))) && !is_prefetch(inst)
}

fn ask(demand: &mut Demand, inst: &Inst) {
    let bytes = bytes(inst);
    let work = work(inst);
    if writes_memory(inst) {
        demand.store(bytes, 1.0);
    }
    if reads_memory(inst) {
        // A load is a micro-op of its own where nothing is computed, and where its address has an index.
        let has_index = inst
            .args
            .iter()
            .any(|arg| matches!(arg, Arg::Memory(m) if m.index.is_some()));
        let computes = matches!(work, Work::Compute(..) | Work::Divide(_));
        let width = if inst.broadcast { 16 } else { bytes };
        demand.load(width, 1.0, f64::from(u8::from(has_index || !computes)));
    }
    match work {
        Work::Compute(kind, count) => demand.compute(kind, bytes, count),
        Work::Divide(quotient) => demand.divide(quotient, bytes, 1.0),
        Work::Move => {}
        Work::Scalar if is_prefetch(inst) => {}
        Work::Scalar => demand.scalar(1.0),
    }
}

fn latency(inst: &Inst, core: &Microarchitecture) -> f64 {
    match work(inst) {
        Work::Compute(kind, _) => core.cost(kind).latency,
        Work::Divide(quotient) => core.cost(Kind::Divide).latency.max(core.divider(quotient, bytes(inst))),
        Work::Move | Work::Scalar => 0.0,
    }
}

/// When values are there, by their registers.
struct Times {
    /// Cycles after the iteration begins, and after what the one before leaves, where they depend on that.
    of: Vec<(f64, Option<f64>)>,
    longest: f64,
}

impl Times {
    fn new(asm: &Assembly) -> Times {
        Times {
            of: vec![(0.0, None); asm.registers],
            longest: 0.0,
        }
    }

    fn set(&mut self, reg: Reg, path: f64, carried: Option<f64>) {
        // Words only count.
        if reg.vreg.class() != RegClass::Int {
            self.of[reg.vreg.vreg()] = (path, carried);
            self.longest = self.longest.max(path);
        }
    }

    fn carried(&self, reg: Reg) -> Option<f64> {
        self.of[reg.vreg.vreg()].1
    }

    fn follow(&mut self, inst: &Inst, latency: f64, load_latency: f64) {
        let used = inst.args.iter().filter_map(|arg| match arg {
            Arg::Use(reg) | Arg::Update { from: reg, .. } => Some(*reg),
            _ => None,
        });
        let used = used.chain(inst.mask.map(|(mask, _)| mask));
        let start = if reads_memory(inst) { load_latency } else { 0.0 };
        let (mut path, mut carried) = (start, None::<f64>);
        for reg in used {
            let (before, before_carried) = self.of[reg.vreg.vreg()];
            path = path.max(before);
            carried = match (carried, before_carried) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            };
        }
        for arg in &inst.args {
            if let Arg::Def(to) | Arg::Update { to, .. } = arg {
                self.set(*to, path + latency, carried.map(|carried| carried + latency));
            }
        }
    }

    fn pass(&mut self, args: &[Reg], params: &[Reg]) {
        for (arg, &param) in args.iter().zip(params) {
            let (path, carried) = self.of[arg.vreg.vreg()];
            self.set(param, path, carried);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::wide::isa::{self, Isa};

    /// What has no kind of its own is logic, a sum, an extremum or a comparison of integers, or a choice.
    #[test]
    fn every_instruction_has_a_kind() {
        const SIMPLE: [&str; 12] = [
            "ADD", "SUB", "AND", "OR", "XOR", "LOGIC", "ABS", "MIN_", "MAX_", "EQUAL", "GREATER", "BLEND",
        ];
        for (name, row) in isa::ALL {
            for isa in [Isa::Avx2, Isa::Avx512] {
                let Some(code) = row.code(isa, 16) else { continue };
                let work = work(&Inst::new(code, &[]));
                let is_fused = ["FM", "FNM"].iter().any(|start| name.starts_with(start));
                match work {
                    Work::Compute(kind, _) => assert_eq!(kind == Kind::MultiplyAdd, is_fused, "{name}"),
                    Work::Divide(_) | Work::Move => assert!(!is_fused, "{name}"),
                    Work::Scalar => assert!(SIMPLE.iter().any(|start| name.starts_with(start)), "{name}"),
                }
            }
        }
    }
}
