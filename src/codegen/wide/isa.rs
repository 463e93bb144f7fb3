//! The vector instructions of x86-64: which there are, in which widths.
//!
//! An instruction is a [`Row`]: its code with 128-bit registers in the VEX encoding of AVX and AVX2, and in the EVEX encoding
//! of AVX-512. The codes of wider registers follow in the encoder's list, which a test holds.

use iced_x86::Code;

/// Which vectors code is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    /// AVX2, FMA, F16C and BMI2: 32 bytes, and masks that are vectors.
    Avx2,
    /// AVX-512 F, BW, DQ and VL: 64 bytes, and masks of their own.
    Avx512,
}

impl Isa {
    /// Bytes of the widest vectors.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Isa::Avx2 => 32,
            Isa::Avx512 => 64,
        }
    }

    /// Vector registers.
    pub(super) const fn registers(self) -> usize {
        match self {
            Isa::Avx2 => 16,
            Isa::Avx512 => 32,
        }
    }
}

/// An instruction: its forms with 128-bit registers, as far as there are any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    vex: Code,
    evex: Code,
}

impl Row {
    /// The code for registers of this many bytes (where a conversion has two widths, the greater), if there is one.
    pub(super) fn code(self, isa: Isa, bytes: usize) -> Option<Code> {
        let first = match isa {
            Isa::Avx2 => self.vex,
            Isa::Avx512 => self.evex,
        };
        let wider = bytes.trailing_zeros().saturating_sub(4) as usize;
        (first != Code::INVALID).then(|| Code::try_from(first as usize + wider).unwrap_or(Code::INVALID))
    }
}

const fn both(vex: Code, evex: Code) -> Row {
    Row { vex, evex }
}

const fn avx512(evex: Code) -> Row {
    Row {
        vex: Code::INVALID,
        evex,
    }
}

const fn avx2(vex: Code) -> Row {
    Row {
        vex,
        evex: Code::INVALID,
    }
}

macro_rules! rows {
    ($($name:ident = $row:expr;)*) => {
        $(pub(super) const $name: Row = { use Code::*; $row };)*

        #[cfg(test)]
        pub(super) const ALL: &[(&str, Row)] = &[$((stringify!($name), $name)),*];
    };
}

rows! {
    LOAD = both(VEX_Vmovups_xmm_xmmm128, EVEX_Vmovups_xmm_k1z_xmmm128);
    STORE = both(VEX_Vmovups_xmmm128_xmm, EVEX_Vmovups_xmmm128_k1z_xmm);
    STREAM = both(VEX_Vmovntps_m128_xmm, EVEX_Vmovntps_m128_xmm);
    LOAD8 = avx512(EVEX_Vmovdqu8_xmm_k1z_xmmm128);
    LOAD16 = avx512(EVEX_Vmovdqu16_xmm_k1z_xmmm128);
    LOAD32 = avx512(EVEX_Vmovdqu32_xmm_k1z_xmmm128);
    LOAD64 = avx512(EVEX_Vmovdqu64_xmm_k1z_xmmm128);
    STORE8 = avx512(EVEX_Vmovdqu8_xmmm128_k1z_xmm);
    STORE16 = avx512(EVEX_Vmovdqu16_xmmm128_k1z_xmm);
    STORE32 = avx512(EVEX_Vmovdqu32_xmmm128_k1z_xmm);
    STORE64 = avx512(EVEX_Vmovdqu64_xmmm128_k1z_xmm);
    MASKED_LOAD32 = avx2(VEX_Vpmaskmovd_xmm_xmm_m128);
    MASKED_LOAD64 = avx2(VEX_Vpmaskmovq_xmm_xmm_m128);
    MASKED_STORE32 = avx2(VEX_Vpmaskmovd_m128_xmm_xmm);
    MASKED_STORE64 = avx2(VEX_Vpmaskmovq_m128_xmm_xmm);
    SPLAT8 = both(VEX_Vpbroadcastb_xmm_xmmm8, EVEX_Vpbroadcastb_xmm_k1z_xmmm8);
    SPLAT16 = both(VEX_Vpbroadcastw_xmm_xmmm16, EVEX_Vpbroadcastw_xmm_k1z_xmmm16);
    SPLAT32 = both(VEX_Vpbroadcastd_xmm_xmmm32, EVEX_Vpbroadcastd_xmm_k1z_xmmm32);
    SPLAT64 = both(VEX_Vpbroadcastq_xmm_xmmm64, EVEX_Vpbroadcastq_xmm_k1z_xmmm64);

    ADD_PS = both(VEX_Vaddps_xmm_xmm_xmmm128, EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32);
    ADD_PD = both(VEX_Vaddpd_xmm_xmm_xmmm128, EVEX_Vaddpd_xmm_k1z_xmm_xmmm128b64);
    SUB_PS = both(VEX_Vsubps_xmm_xmm_xmmm128, EVEX_Vsubps_xmm_k1z_xmm_xmmm128b32);
    SUB_PD = both(VEX_Vsubpd_xmm_xmm_xmmm128, EVEX_Vsubpd_xmm_k1z_xmm_xmmm128b64);
    MUL_PS = both(VEX_Vmulps_xmm_xmm_xmmm128, EVEX_Vmulps_xmm_k1z_xmm_xmmm128b32);
    MUL_PD = both(VEX_Vmulpd_xmm_xmm_xmmm128, EVEX_Vmulpd_xmm_k1z_xmm_xmmm128b64);
    DIV_PS = both(VEX_Vdivps_xmm_xmm_xmmm128, EVEX_Vdivps_xmm_k1z_xmm_xmmm128b32);
    DIV_PD = both(VEX_Vdivpd_xmm_xmm_xmmm128, EVEX_Vdivpd_xmm_k1z_xmm_xmmm128b64);
    MIN_PS = both(VEX_Vminps_xmm_xmm_xmmm128, EVEX_Vminps_xmm_k1z_xmm_xmmm128b32);
    MIN_PD = both(VEX_Vminpd_xmm_xmm_xmmm128, EVEX_Vminpd_xmm_k1z_xmm_xmmm128b64);
    MAX_PS = both(VEX_Vmaxps_xmm_xmm_xmmm128, EVEX_Vmaxps_xmm_k1z_xmm_xmmm128b32);
    MAX_PD = both(VEX_Vmaxpd_xmm_xmm_xmmm128, EVEX_Vmaxpd_xmm_k1z_xmm_xmmm128b64);
    RANGE_PS = avx512(EVEX_Vrangeps_xmm_k1z_xmm_xmmm128b32_imm8);
    RANGE_PD = avx512(EVEX_Vrangepd_xmm_k1z_xmm_xmmm128b64_imm8);
    SCALE_PS = avx512(EVEX_Vscalefps_xmm_k1z_xmm_xmmm128b32);
    SCALE_PD = avx512(EVEX_Vscalefpd_xmm_k1z_xmm_xmmm128b64);
    SQRT_PS = both(VEX_Vsqrtps_xmm_xmmm128, EVEX_Vsqrtps_xmm_k1z_xmmm128b32);
    SQRT_PD = both(VEX_Vsqrtpd_xmm_xmmm128, EVEX_Vsqrtpd_xmm_k1z_xmmm128b64);
    ROUND_PS = both(VEX_Vroundps_xmm_xmmm128_imm8, EVEX_Vrndscaleps_xmm_k1z_xmmm128b32_imm8);
    ROUND_PD = both(VEX_Vroundpd_xmm_xmmm128_imm8, EVEX_Vrndscalepd_xmm_k1z_xmmm128b64_imm8);
    FMA213_PS = both(VEX_Vfmadd213ps_xmm_xmm_xmmm128, EVEX_Vfmadd213ps_xmm_k1z_xmm_xmmm128b32);
    FMA213_PD = both(VEX_Vfmadd213pd_xmm_xmm_xmmm128, EVEX_Vfmadd213pd_xmm_k1z_xmm_xmmm128b64);
    FMA231_PS = both(VEX_Vfmadd231ps_xmm_xmm_xmmm128, EVEX_Vfmadd231ps_xmm_k1z_xmm_xmmm128b32);
    FMA231_PD = both(VEX_Vfmadd231pd_xmm_xmm_xmmm128, EVEX_Vfmadd231pd_xmm_k1z_xmm_xmmm128b64);
    FMA_NEGATED213_PS = both(VEX_Vfnmadd213ps_xmm_xmm_xmmm128, EVEX_Vfnmadd213ps_xmm_k1z_xmm_xmmm128b32);
    FMA_LESS213_PS = both(VEX_Vfmsub213ps_xmm_xmm_xmmm128, EVEX_Vfmsub213ps_xmm_k1z_xmm_xmmm128b32);
    FMA_NEGATED_LESS213_PS = both(VEX_Vfnmsub213ps_xmm_xmm_xmmm128, EVEX_Vfnmsub213ps_xmm_k1z_xmm_xmmm128b32);
    FMA_NEGATED213_PD = both(VEX_Vfnmadd213pd_xmm_xmm_xmmm128, EVEX_Vfnmadd213pd_xmm_k1z_xmm_xmmm128b64);
    FMA_LESS213_PD = both(VEX_Vfmsub213pd_xmm_xmm_xmmm128, EVEX_Vfmsub213pd_xmm_k1z_xmm_xmmm128b64);
    FMA_NEGATED_LESS213_PD = both(VEX_Vfnmsub213pd_xmm_xmm_xmmm128, EVEX_Vfnmsub213pd_xmm_k1z_xmm_xmmm128b64);
    FMA_NEGATED231_PS = both(VEX_Vfnmadd231ps_xmm_xmm_xmmm128, EVEX_Vfnmadd231ps_xmm_k1z_xmm_xmmm128b32);
    FMA_LESS231_PS = both(VEX_Vfmsub231ps_xmm_xmm_xmmm128, EVEX_Vfmsub231ps_xmm_k1z_xmm_xmmm128b32);
    FMA_NEGATED_LESS231_PS = both(VEX_Vfnmsub231ps_xmm_xmm_xmmm128, EVEX_Vfnmsub231ps_xmm_k1z_xmm_xmmm128b32);
    FMA_NEGATED231_PD = both(VEX_Vfnmadd231pd_xmm_xmm_xmmm128, EVEX_Vfnmadd231pd_xmm_k1z_xmm_xmmm128b64);
    FMA_LESS231_PD = both(VEX_Vfmsub231pd_xmm_xmm_xmmm128, EVEX_Vfmsub231pd_xmm_k1z_xmm_xmmm128b64);
    FMA_NEGATED_LESS231_PD = both(VEX_Vfnmsub231pd_xmm_xmm_xmmm128, EVEX_Vfnmsub231pd_xmm_k1z_xmm_xmmm128b64);
    CMP_PS = both(VEX_Vcmpps_xmm_xmm_xmmm128_imm8, EVEX_Vcmpps_kr_k1_xmm_xmmm128b32_imm8);
    CMP_PD = both(VEX_Vcmppd_xmm_xmm_xmmm128_imm8, EVEX_Vcmppd_kr_k1_xmm_xmmm128b64_imm8);

    ADD8 = both(VEX_Vpaddb_xmm_xmm_xmmm128, EVEX_Vpaddb_xmm_k1z_xmm_xmmm128);
    ADD16 = both(VEX_Vpaddw_xmm_xmm_xmmm128, EVEX_Vpaddw_xmm_k1z_xmm_xmmm128);
    ADD32 = both(VEX_Vpaddd_xmm_xmm_xmmm128, EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32);
    ADD64 = both(VEX_Vpaddq_xmm_xmm_xmmm128, EVEX_Vpaddq_xmm_k1z_xmm_xmmm128b64);
    SUB8 = both(VEX_Vpsubb_xmm_xmm_xmmm128, EVEX_Vpsubb_xmm_k1z_xmm_xmmm128);
    SUB16 = both(VEX_Vpsubw_xmm_xmm_xmmm128, EVEX_Vpsubw_xmm_k1z_xmm_xmmm128);
    SUB32 = both(VEX_Vpsubd_xmm_xmm_xmmm128, EVEX_Vpsubd_xmm_k1z_xmm_xmmm128b32);
    SUB64 = both(VEX_Vpsubq_xmm_xmm_xmmm128, EVEX_Vpsubq_xmm_k1z_xmm_xmmm128b64);
    MUL16 = both(VEX_Vpmullw_xmm_xmm_xmmm128, EVEX_Vpmullw_xmm_k1z_xmm_xmmm128);
    MUL32 = both(VEX_Vpmulld_xmm_xmm_xmmm128, EVEX_Vpmulld_xmm_k1z_xmm_xmmm128b32);
    MUL64 = avx512(EVEX_Vpmullq_xmm_k1z_xmm_xmmm128b64);
    MUL_EVEN32 = both(VEX_Vpmuludq_xmm_xmm_xmmm128, EVEX_Vpmuludq_xmm_k1z_xmm_xmmm128b64);
    ABS8 = both(VEX_Vpabsb_xmm_xmmm128, EVEX_Vpabsb_xmm_k1z_xmmm128);
    ABS16 = both(VEX_Vpabsw_xmm_xmmm128, EVEX_Vpabsw_xmm_k1z_xmmm128);
    ABS32 = both(VEX_Vpabsd_xmm_xmmm128, EVEX_Vpabsd_xmm_k1z_xmmm128b32);
    ABS64 = avx512(EVEX_Vpabsq_xmm_k1z_xmmm128b64);
    AND32 = both(VEX_Vpand_xmm_xmm_xmmm128, EVEX_Vpandd_xmm_k1z_xmm_xmmm128b32);
    AND64 = both(VEX_Vpand_xmm_xmm_xmmm128, EVEX_Vpandq_xmm_k1z_xmm_xmmm128b64);
    AND_NOT32 = both(VEX_Vpandn_xmm_xmm_xmmm128, EVEX_Vpandnd_xmm_k1z_xmm_xmmm128b32);
    OR32 = both(VEX_Vpor_xmm_xmm_xmmm128, EVEX_Vpord_xmm_k1z_xmm_xmmm128b32);
    OR64 = both(VEX_Vpor_xmm_xmm_xmmm128, EVEX_Vporq_xmm_k1z_xmm_xmmm128b64);
    XOR32 = both(VEX_Vpxor_xmm_xmm_xmmm128, EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32);
    XOR64 = both(VEX_Vpxor_xmm_xmm_xmmm128, EVEX_Vpxorq_xmm_k1z_xmm_xmmm128b64);
    LOGIC32 = avx512(EVEX_Vpternlogd_xmm_k1z_xmm_xmmm128b32_imm8);
    LOGIC64 = avx512(EVEX_Vpternlogq_xmm_k1z_xmm_xmmm128b64_imm8);
    MIN_I8 = both(VEX_Vpminsb_xmm_xmm_xmmm128, EVEX_Vpminsb_xmm_k1z_xmm_xmmm128);
    MIN_I16 = both(VEX_Vpminsw_xmm_xmm_xmmm128, EVEX_Vpminsw_xmm_k1z_xmm_xmmm128);
    MIN_I32 = both(VEX_Vpminsd_xmm_xmm_xmmm128, EVEX_Vpminsd_xmm_k1z_xmm_xmmm128b32);
    MIN_I64 = avx512(EVEX_Vpminsq_xmm_k1z_xmm_xmmm128b64);
    MIN_U8 = both(VEX_Vpminub_xmm_xmm_xmmm128, EVEX_Vpminub_xmm_k1z_xmm_xmmm128);
    MIN_U16 = both(VEX_Vpminuw_xmm_xmm_xmmm128, EVEX_Vpminuw_xmm_k1z_xmm_xmmm128);
    MIN_U32 = both(VEX_Vpminud_xmm_xmm_xmmm128, EVEX_Vpminud_xmm_k1z_xmm_xmmm128b32);
    MIN_U64 = avx512(EVEX_Vpminuq_xmm_k1z_xmm_xmmm128b64);
    MAX_I8 = both(VEX_Vpmaxsb_xmm_xmm_xmmm128, EVEX_Vpmaxsb_xmm_k1z_xmm_xmmm128);
    MAX_I16 = both(VEX_Vpmaxsw_xmm_xmm_xmmm128, EVEX_Vpmaxsw_xmm_k1z_xmm_xmmm128);
    MAX_I32 = both(VEX_Vpmaxsd_xmm_xmm_xmmm128, EVEX_Vpmaxsd_xmm_k1z_xmm_xmmm128b32);
    MAX_I64 = avx512(EVEX_Vpmaxsq_xmm_k1z_xmm_xmmm128b64);
    MAX_U8 = both(VEX_Vpmaxub_xmm_xmm_xmmm128, EVEX_Vpmaxub_xmm_k1z_xmm_xmmm128);
    MAX_U16 = both(VEX_Vpmaxuw_xmm_xmm_xmmm128, EVEX_Vpmaxuw_xmm_k1z_xmm_xmmm128);
    MAX_U32 = both(VEX_Vpmaxud_xmm_xmm_xmmm128, EVEX_Vpmaxud_xmm_k1z_xmm_xmmm128b32);
    MAX_U64 = avx512(EVEX_Vpmaxuq_xmm_k1z_xmm_xmmm128b64);
    CMP_I8 = avx512(EVEX_Vpcmpb_kr_k1_xmm_xmmm128_imm8);
    CMP_I16 = avx512(EVEX_Vpcmpw_kr_k1_xmm_xmmm128_imm8);
    CMP_I32 = avx512(EVEX_Vpcmpd_kr_k1_xmm_xmmm128b32_imm8);
    CMP_I64 = avx512(EVEX_Vpcmpq_kr_k1_xmm_xmmm128b64_imm8);
    CMP_U8 = avx512(EVEX_Vpcmpub_kr_k1_xmm_xmmm128_imm8);
    CMP_U16 = avx512(EVEX_Vpcmpuw_kr_k1_xmm_xmmm128_imm8);
    CMP_U32 = avx512(EVEX_Vpcmpud_kr_k1_xmm_xmmm128b32_imm8);
    CMP_U64 = avx512(EVEX_Vpcmpuq_kr_k1_xmm_xmmm128b64_imm8);
    EQUAL8 = avx2(VEX_Vpcmpeqb_xmm_xmm_xmmm128);
    EQUAL16 = avx2(VEX_Vpcmpeqw_xmm_xmm_xmmm128);
    EQUAL32 = avx2(VEX_Vpcmpeqd_xmm_xmm_xmmm128);
    EQUAL64 = avx2(VEX_Vpcmpeqq_xmm_xmm_xmmm128);
    GREATER8 = avx2(VEX_Vpcmpgtb_xmm_xmm_xmmm128);
    GREATER16 = avx2(VEX_Vpcmpgtw_xmm_xmm_xmmm128);
    GREATER32 = avx2(VEX_Vpcmpgtd_xmm_xmm_xmmm128);
    GREATER64 = avx2(VEX_Vpcmpgtq_xmm_xmm_xmmm128);
    TEST8 = avx512(EVEX_Vptestmb_kr_k1_xmm_xmmm128);
    BLEND = avx2(VEX_Vpblendvb_xmm_xmm_xmmm128_xmm);
    BLEND_WORDS = avx2(VEX_Vpblendw_xmm_xmm_xmmm128_imm8);
    BLEND8 = avx512(EVEX_Vpblendmb_xmm_k1z_xmm_xmmm128);
    BLEND16 = avx512(EVEX_Vpblendmw_xmm_k1z_xmm_xmmm128);
    BLEND32 = avx512(EVEX_Vpblendmd_xmm_k1z_xmm_xmmm128b32);
    BLEND64 = avx512(EVEX_Vpblendmq_xmm_k1z_xmm_xmmm128b64);

    SHL16 = both(VEX_Vpsllw_xmm_xmm_imm8, EVEX_Vpsllw_xmm_k1z_xmmm128_imm8);
    SHL32 = both(VEX_Vpslld_xmm_xmm_imm8, EVEX_Vpslld_xmm_k1z_xmmm128b32_imm8);
    SHL64 = both(VEX_Vpsllq_xmm_xmm_imm8, EVEX_Vpsllq_xmm_k1z_xmmm128b64_imm8);
    SHR16 = both(VEX_Vpsrlw_xmm_xmm_imm8, EVEX_Vpsrlw_xmm_k1z_xmmm128_imm8);
    SHR32 = both(VEX_Vpsrld_xmm_xmm_imm8, EVEX_Vpsrld_xmm_k1z_xmmm128b32_imm8);
    SHR64 = both(VEX_Vpsrlq_xmm_xmm_imm8, EVEX_Vpsrlq_xmm_k1z_xmmm128b64_imm8);
    SAR16 = both(VEX_Vpsraw_xmm_xmm_imm8, EVEX_Vpsraw_xmm_k1z_xmmm128_imm8);
    SAR32 = both(VEX_Vpsrad_xmm_xmm_imm8, EVEX_Vpsrad_xmm_k1z_xmmm128b32_imm8);
    SAR64 = avx512(EVEX_Vpsraq_xmm_k1z_xmmm128b64_imm8);
    SHLV16 = avx512(EVEX_Vpsllvw_xmm_k1z_xmm_xmmm128);
    SHLV32 = both(VEX_Vpsllvd_xmm_xmm_xmmm128, EVEX_Vpsllvd_xmm_k1z_xmm_xmmm128b32);
    SHLV64 = both(VEX_Vpsllvq_xmm_xmm_xmmm128, EVEX_Vpsllvq_xmm_k1z_xmm_xmmm128b64);
    SHRV16 = avx512(EVEX_Vpsrlvw_xmm_k1z_xmm_xmmm128);
    SHRV32 = both(VEX_Vpsrlvd_xmm_xmm_xmmm128, EVEX_Vpsrlvd_xmm_k1z_xmm_xmmm128b32);
    SHRV64 = both(VEX_Vpsrlvq_xmm_xmm_xmmm128, EVEX_Vpsrlvq_xmm_k1z_xmm_xmmm128b64);
    SARV16 = avx512(EVEX_Vpsravw_xmm_k1z_xmm_xmmm128);
    SARV32 = both(VEX_Vpsravd_xmm_xmm_xmmm128, EVEX_Vpsravd_xmm_k1z_xmm_xmmm128b32);
    SARV64 = avx512(EVEX_Vpsravq_xmm_k1z_xmm_xmmm128b64);

    SIGN_EXTEND_8_16 = both(VEX_Vpmovsxbw_xmm_xmmm64, EVEX_Vpmovsxbw_xmm_k1z_xmmm64);
    SIGN_EXTEND_8_32 = both(VEX_Vpmovsxbd_xmm_xmmm32, EVEX_Vpmovsxbd_xmm_k1z_xmmm32);
    SIGN_EXTEND_8_64 = both(VEX_Vpmovsxbq_xmm_xmmm16, EVEX_Vpmovsxbq_xmm_k1z_xmmm16);
    SIGN_EXTEND_16_32 = both(VEX_Vpmovsxwd_xmm_xmmm64, EVEX_Vpmovsxwd_xmm_k1z_xmmm64);
    SIGN_EXTEND_16_64 = both(VEX_Vpmovsxwq_xmm_xmmm32, EVEX_Vpmovsxwq_xmm_k1z_xmmm32);
    SIGN_EXTEND_32_64 = both(VEX_Vpmovsxdq_xmm_xmmm64, EVEX_Vpmovsxdq_xmm_k1z_xmmm64);
    ZERO_EXTEND_8_16 = both(VEX_Vpmovzxbw_xmm_xmmm64, EVEX_Vpmovzxbw_xmm_k1z_xmmm64);
    ZERO_EXTEND_8_32 = both(VEX_Vpmovzxbd_xmm_xmmm32, EVEX_Vpmovzxbd_xmm_k1z_xmmm32);
    ZERO_EXTEND_8_64 = both(VEX_Vpmovzxbq_xmm_xmmm16, EVEX_Vpmovzxbq_xmm_k1z_xmmm16);
    ZERO_EXTEND_16_32 = both(VEX_Vpmovzxwd_xmm_xmmm64, EVEX_Vpmovzxwd_xmm_k1z_xmmm64);
    ZERO_EXTEND_16_64 = both(VEX_Vpmovzxwq_xmm_xmmm32, EVEX_Vpmovzxwq_xmm_k1z_xmmm32);
    ZERO_EXTEND_32_64 = both(VEX_Vpmovzxdq_xmm_xmmm64, EVEX_Vpmovzxdq_xmm_k1z_xmmm64);
    CUT_16_8 = avx512(EVEX_Vpmovwb_xmmm64_k1z_xmm);
    CUT_32_8 = avx512(EVEX_Vpmovdb_xmmm32_k1z_xmm);
    CUT_64_8 = avx512(EVEX_Vpmovqb_xmmm16_k1z_xmm);
    CUT_32_16 = avx512(EVEX_Vpmovdw_xmmm64_k1z_xmm);
    CUT_64_16 = avx512(EVEX_Vpmovqw_xmmm32_k1z_xmm);
    CUT_64_32 = avx512(EVEX_Vpmovqd_xmmm64_k1z_xmm);
    SHUFFLE8 = both(VEX_Vpshufb_xmm_xmm_xmmm128, EVEX_Vpshufb_xmm_k1z_xmm_xmmm128);
    UNPACK16 = both(VEX_Vpunpcklwd_xmm_xmm_xmmm128, EVEX_Vpunpcklwd_xmm_k1z_xmm_xmmm128);
    UNPACK32 = both(VEX_Vpunpckldq_xmm_xmm_xmmm128, EVEX_Vpunpckldq_xmm_k1z_xmm_xmmm128b32);
    UNPACK64 = both(VEX_Vpunpcklqdq_xmm_xmm_xmmm128, EVEX_Vpunpcklqdq_xmm_k1z_xmm_xmmm128b64);
    UNPACK_HIGH64 = avx2(VEX_Vpunpckhqdq_xmm_xmm_xmmm128);
    PERMUTE_PAIR32 = avx512(EVEX_Vpermt2d_xmm_k1z_xmm_xmmm128b32);
    PERMUTE_PAIR64 = avx512(EVEX_Vpermt2q_xmm_k1z_xmm_xmmm128b64);
    PERMUTE32 = both(VEX_Vpshufd_xmm_xmmm128_imm8, EVEX_Vpshufd_xmm_k1z_xmmm128b32_imm8);

    F32_TO_F64 = both(VEX_Vcvtps2pd_xmm_xmmm64, EVEX_Vcvtps2pd_xmm_k1z_xmmm64b32);
    F64_TO_F32 = both(VEX_Vcvtpd2ps_xmm_xmmm128, EVEX_Vcvtpd2ps_xmm_k1z_xmmm128b64);
    F16_TO_F32 = both(VEX_Vcvtph2ps_xmm_xmmm64, EVEX_Vcvtph2ps_xmm_k1z_xmmm64);
    F32_TO_F16 = both(VEX_Vcvtps2ph_xmmm64_xmm_imm8, EVEX_Vcvtps2ph_xmmm64_k1z_xmm_imm8);
    I32_TO_F32 = both(VEX_Vcvtdq2ps_xmm_xmmm128, EVEX_Vcvtdq2ps_xmm_k1z_xmmm128b32);
    U32_TO_F32 = avx512(EVEX_Vcvtudq2ps_xmm_k1z_xmmm128b32);
    I32_TO_F64 = both(VEX_Vcvtdq2pd_xmm_xmmm64, EVEX_Vcvtdq2pd_xmm_k1z_xmmm64b32);
    U32_TO_F64 = avx512(EVEX_Vcvtudq2pd_xmm_k1z_xmmm64b32);
    I64_TO_F32 = avx512(EVEX_Vcvtqq2ps_xmm_k1z_xmmm128b64);
    U64_TO_F32 = avx512(EVEX_Vcvtuqq2ps_xmm_k1z_xmmm128b64);
    I64_TO_F64 = avx512(EVEX_Vcvtqq2pd_xmm_k1z_xmmm128b64);
    U64_TO_F64 = avx512(EVEX_Vcvtuqq2pd_xmm_k1z_xmmm128b64);
    F32_TO_I32 = both(VEX_Vcvttps2dq_xmm_xmmm128, EVEX_Vcvttps2dq_xmm_k1z_xmmm128b32);
    F32_TO_U32 = avx512(EVEX_Vcvttps2udq_xmm_k1z_xmmm128b32);
    F32_TO_I64 = avx512(EVEX_Vcvttps2qq_xmm_k1z_xmmm64b32);
    F32_TO_U64 = avx512(EVEX_Vcvttps2uqq_xmm_k1z_xmmm64b32);
    F64_TO_I32 = both(VEX_Vcvttpd2dq_xmm_xmmm128, EVEX_Vcvttpd2dq_xmm_k1z_xmmm128b64);
    F64_TO_U32 = avx512(EVEX_Vcvttpd2udq_xmm_k1z_xmmm128b64);
    F64_TO_I64 = avx512(EVEX_Vcvttpd2qq_xmm_k1z_xmmm128b64);
    F64_TO_U64 = avx512(EVEX_Vcvttpd2uqq_xmm_k1z_xmmm128b64);
}

/// Of rows for elements of 1, 2, 4 and 8 bytes, the one for this many.
pub(super) fn by_size(rows: [Row; 4], size: usize) -> Row {
    rows[size.trailing_zeros() as usize]
}

#[cfg(test)]
mod tests {
    use iced_x86::Register;

    use super::*;

    /// The widths of every row stand next to each other in the encoder's list: the same mnemonic, encoding and shape, with
    /// greater registers.
    #[test]
    fn wider_forms_follow() {
        for (name, row) in ALL {
            for (isa, widths, kind) in [
                (Isa::Avx2, &["xmm", "ymm"][..], "VEX_"),
                (Isa::Avx512, &["xmm", "ymm", "zmm"][..], "EVEX_"),
            ] {
                let Some(first) = row.code(isa, 16) else { continue };
                for (i, width) in widths.iter().enumerate() {
                    let code = row.code(isa, 16 << i).unwrap();
                    let text = format!("{code:?}");
                    assert_eq!(code.mnemonic(), first.mnemonic(), "{name} {width}");
                    assert!(text.starts_with(kind), "{name}: {text}");
                    assert!(text.contains(width), "{name}: {text} has {width}");
                    let wider = ["ymm", "zmm"].iter().skip(i).any(|w| text.contains(w) && *w != *width);
                    assert!(!wider, "{name}: {text} is wider than {width}");
                }
            }
        }
        assert_eq!(Register::XMM0 + 31, Register::XMM31);
    }
}
