//! Polynomial coefficients of the expansions, as bits; written by `ir/tools/minimax.py`, never by hand.
//!
//! Each array stands lowest power first, every value exact in the format it is used in. The error beside it is that of
//! the rounded coefficients in exact arithmetic, relative to the function.

/// (eʳ − 1 − r) / r² for |r| ≤ ln 2 / 2, for eʳ. Largest weighted error 2^-28.88.
pub(super) const EXP_F32: [f64; 5] = [
    f64::from_bits(0x3fdfffff40000000), // 0.4999998211860657
    f64::from_bits(0x3fc5554940000000), // 0.1666652262210846
    f64::from_bits(0x3fa555f100000000), // 0.041671305894851685
    f64::from_bits(0x3f812384a0000000), // 0.008368526585400105
    f64::from_bits(0x3f565aeaa0000000), // 0.0013644496211782098
];

/// (eʳ − 1 − r) / r² for |r| ≤ ln 2 / 2, for eʳ − 1. Largest weighted error 2^-30.97.
pub(super) const EXPM1_F32: [f64; 6] = [
    f64::from_bits(0x3fe0000000000000), // 0.5
    f64::from_bits(0x3fc5555540000000), // 0.1666666567325592
    f64::from_bits(0x3fa5554f00000000), // 0.04166647791862488
    f64::from_bits(0x3f81113020000000), // 0.00833356473594904
    f64::from_bits(0x3f56d436a0000000), // 0.0013933690497651696
    f64::from_bits(0x3f29e15360000000), // 0.00019745009194593877
];

/// (eʳ − 1 − r) / r² for |r| ≤ ln 2 / 2, for eʳ. Largest weighted error 2^-58.28.
pub(super) const EXP_F64: [f64; 10] = [
    f64::from_bits(0x3fe0000000000005), // 0.5000000000000006
    f64::from_bits(0x3fc5555555555475), // 0.16666666666666044
    f64::from_bits(0x3fa5555555551d44), // 0.04166666666656707
    f64::from_bits(0x3f8111111114a139), // 0.008333333333738412
    f64::from_bits(0x3f56c16c18058efd), // 0.0013888888934951431
    f64::from_bits(0x3f2a01a006caed35), // 0.00019841268967533415
    f64::from_bits(0x3efa019a31310e7f), // 2.4801501308026414e-05
    f64::from_bits(0x3ec71e0d25aa1164), // 2.7558074127705926e-06
    f64::from_bits(0x3e928a600044622e), // 2.7627538680541184e-07
    f64::from_bits(0x3e5aad2993170af7), // 2.484434808380848e-08
];

/// (eʳ − 1 − r) / r² for |r| ≤ ln 2 / 2, for eʳ − 1. Largest weighted error 2^-61.52.
pub(super) const EXPM1_F64: [f64; 11] = [
    f64::from_bits(0x3fe0000000000000), // 0.5
    f64::from_bits(0x3fc5555555555559), // 0.16666666666666677
    f64::from_bits(0x3fa555555555554d), // 0.04166666666666661
    f64::from_bits(0x3f8111111110f658), // 0.008333333333321466
    f64::from_bits(0x3f56c16c16c1ab08), // 0.001388888888892383
    f64::from_bits(0x3f2a01a01b001327), // 0.00019841269886469137
    f64::from_bits(0x3efa01a018e07eb4), // 2.4801587237387442e-05
    f64::from_bits(0x3ec71ddf8177a180), // 2.7557243915574364e-06
    f64::from_bits(0x3e927e51352beb3b), // 2.7557353125789604e-07
    f64::from_bits(0x3e5af5f1ac09a866), // 2.510912611373849e-08
    f64::from_bits(0x3e21f19ffa77be06), // 2.0889387613280913e-09
];

/// (ln(1 + f) − f) / f² for |f| ≤ 1/3. Largest weighted error 2^-27.62.
pub(super) const LN_F32: [f64; 9] = [
    f64::from_bits(0xbfe0000000000000), // -0.5
    f64::from_bits(0x3fd5555020000000), // 0.3333320915699005
    f64::from_bits(0xbfcffff160000000), // -0.24999825656414032
    f64::from_bits(0x3fc99d1c40000000), // 0.2001071274280548
    f64::from_bits(0xbfc5597a40000000), // -0.16679313778877258
    f64::from_bits(0x3fc1ec0fe0000000), // 0.14001654088497162
    f64::from_bits(0xbfbf3b2420000000), // -0.12199617177248001
    f64::from_bits(0x3fc1ec5e20000000), // 0.14002586901187897
    f64::from_bits(0xbfc06b7220000000), // -0.12827898561954498
];

/// (ln(1 + f) − f) / f² for |f| ≤ 1/3. Largest weighted error 2^-56.84.
pub(super) const LN_F64: [f64; 20] = [
    f64::from_bits(0xbfdffffffffffff8), // -0.49999999999999956
    f64::from_bits(0x3fd5555555555535), // 0.33333333333333154
    f64::from_bits(0xbfd0000000001503), // -0.2500000000002986
    f64::from_bits(0x3fc99999999a05d5), // 0.20000000000076903
    f64::from_bits(0xbfc55555553552bb), // -0.1666666666084405
    f64::from_bits(0x3fc249249209e44b), // 0.1428571427420898
    f64::from_bits(0xbfc000000b1c524c), // -0.12500000517379062
    f64::from_bits(0x3fbc71c7411f182e), // 0.11111111965064488
    f64::from_bits(0xbfb9999561160972), // -0.09999974842324891
    f64::from_bits(0x3fb745cb59ab9651), // 0.09090872706618681
    f64::from_bits(0xbfb555d020587912), // -0.08334065236747204
    f64::from_bits(0x3fb3b1db7109caf1), // 0.07693263540003749
    f64::from_bits(0xbfb24073adc8e02e), // -0.07129595749654591
    f64::from_bits(0x3fb1069b60e3579c), // 0.06650706401282352
    f64::from_bits(0xbfb0626831033e91), // -0.06400157162283394
    f64::from_bits(0x3faefb8ca2bbc4a0), // 0.060512919297147194
    f64::from_bits(0xbfa736c778d2afc6), // -0.04533980703249045
    f64::from_bits(0x3fa563cfb77699fb), // 0.04177712549726561
    f64::from_bits(0xbfb6435902d264f0), // -0.08696514433758629
    f64::from_bits(0x3fb5bf5e8a42437f), // 0.08495131373844166
];

/// erf x / x − 1 in s = x² for x ≤ 1. Largest weighted error 2^-56.34.
pub(super) const ERF_F64: [f64; 14] = [
    f64::from_bits(0x3fc06eba8214db69), // 0.1283791670955126
    f64::from_bits(0xbfd812746b037a01), // -0.376126389031839
    f64::from_bits(0x3fbce2f21a043a4f), // 0.11283791670960251
    f64::from_bits(0xbf9b82ce312c4155), // -0.026866170645975036
    f64::from_bits(0x3f7565bcd170bb6a), // 0.005223977633291502
    f64::from_bits(0xbf4c02db591a4df7), // -0.0008548327479779839
    f64::from_bits(0x3f1f9a357496242e), // 0.00012055350557295459
    f64::from_bits(0xbeef4d657a83977d), // -1.4926113934564861e-05
    f64::from_bits(0x3ebba2133d640304), // 1.647061471710284e-06
    f64::from_bits(0xbe861c71dfe48547), // -1.6474062642608918e-07
    f64::from_bits(0x3e50e7d9bb74978f), // 1.5744628459626187e-08
    f64::from_bits(0xbe1e26faa9d00e5c), // -1.7550926608320108e-09
    f64::from_bits(0x3df240ea9584381a), // 2.6562454104012236e-10
    f64::from_bits(0xbdc0caa65d389051), // -3.054374431555718e-11
];

/// (sin r / r − 1) / s in s = r² for |r| ≤ π/4. Largest weighted error 2^-62.88.
pub(super) const SIN_F64: [f64; 7] = [
    f64::from_bits(0xbfc5555555555555), // -0.16666666666666666
    f64::from_bits(0x3f8111111111108a), // 0.008333333333333099
    f64::from_bits(0xbf2a01a01a0069df), // -0.00019841269841054576
    f64::from_bits(0x3ec71de3a3fc951f), // 2.75573191278973e-06
    f64::from_bits(0xbe5ae643cdc6ef3c), // -2.5052085615822502e-08
    f64::from_bits(0x3de61146621e70e3), // 1.6056205068581877e-10
    f64::from_bits(0xbd6a53e5a5ed601d), // -7.482788903055842e-13
];

/// (cos r − 1 + s/2) / s² in s = r² for |r| ≤ π/4. Largest weighted error 2^-68.59.
pub(super) const COS_F64: [f64; 7] = [
    f64::from_bits(0x3fa5555555555555), // 0.041666666666666664
    f64::from_bits(0xbf56c16c16c16b48), // -0.001388888888888844
    f64::from_bits(0x3efa01a01a001c7e), // 2.4801587301251104e-05
    f64::from_bits(0xbe927e4fb6099c31), // -2.755731909665289e-07
    f64::from_bits(0x3e21eed776dfd128), // 2.0876730821453944e-09
    f64::from_bits(0xbda937db0c6ae01a), // -1.1467903352670097e-11
    f64::from_bits(0x3d2a1f9f1e2540de), // 4.640469643084446e-14
];

/// Exponents of x from which the rows but the first of [`ONE_OVER_PI_F32`] hold.
pub(super) const ONE_OVER_PI_F32_FROM: [u64; 3] = [51, 77, 103];

/// Windows of the digits of 1/π for f32: words of 29, 29 and 53.
pub(super) const ONE_OVER_PI_F32: [[f64; 3]; 4] = [
    [f64::from_bits(0x3fd45f306d000000), f64::from_bits(0x3e09391054000000), f64::from_bits(0x3c34fe13abe8fa9a)],
    [f64::from_bits(0x3e3727220a000000), f64::from_bits(0x3c629fc275000000), f64::from_bits(0x3a8f47d4d377036c)],
    [f64::from_bits(0x3c84a7f09c000000), f64::from_bits(0x3ac5f47d4d000000), f64::from_bits(0x38dbb81b6c52b324)],
    [f64::from_bits(0x3afabe8fa9000000), f64::from_bits(0x3924ddc0db000000), f64::from_bits(0x3748a5664f10e410)],
];

/// Exponents of x from which the rows but the first of [`TWO_OVER_PI_F64`] hold.
pub(super) const TWO_OVER_PI_F64_FROM: [u64; 6] = [147, 293, 439, 585, 731, 877];

/// Windows of the digits of 2/π for f64: six words of 53; from the fourth row on, times 2⁴⁰⁰.
pub(super) const TWO_OVER_PI_F64: [[f64; 6]; 7] = [
    [f64::from_bits(0x0000000000000000), f64::from_bits(0x3fe45f306dc9c882), f64::from_bits(0x3c94a7f09d5f47d4), f64::from_bits(0x394a6ee06db14acc), f64::from_bits(0x35f3c439041fe516), f64::from_bits(0x328d5ef5de2b0db8)],
    [f64::from_bits(0x3a547d4d377036d8), f64::from_bits(0x3704acc9e21c820f), f64::from_bits(0x33be5163abdebbc5), f64::from_bits(0x30586dc91b8e9092), f64::from_bits(0x2d174b801924bba8), f64::from_bits(0x29a3a32439fc3bd4)],
    [f64::from_bits(0x3185de2b0db92371), f64::from_bits(0x2e3a424dd2e00649), f64::from_bits(0x2ac77504e8c90e7c), f64::from_bits(0x279877ac72c4a69c), f64::from_bits(0x244f74411afa975d), f64::from_bits(0x20f4484e99c7026b)],
    [f64::from_bits(0x4113f877ac72c4a6), f64::from_bits(0x3dc39f74411afa97), f64::from_bits(0x3a6768909d338e04), f64::from_bits(0x371ad17df904e646), f64::from_bits(0x33d58e60d4ce7d27), f64::from_bits(0x30608bf177bf2504)],
    [f64::from_bits(0x3811c09ad17df904), f64::from_bits(0x34ccc8eb1cc1a99c), f64::from_bits(0x317f49c845f8bbdf), f64::from_bits(0x2e2250763ff12fff), f64::from_bits(0x2ad7816603fbcbc4), f64::from_bits(0x2778b5a0a6d1f6d2)],
    [f64::from_bits(0x2ee7bf250763ff12), f64::from_bits(0x2b9fff7816603fbc), f64::from_bits(0x284788c5ad05368f), f64::from_bits(0x24f6d367ecf27cb0), f64::from_bits(0x21a36e9e8c7ecd3c), f64::from_bits(0x1e57fa8b5d49eeb1)],
    [f64::from_bits(0x25c68fb69b3f6793), f64::from_bits(0x227cb09b74f463f6), f64::from_bits(0x1f1a797fa8b5d49e), f64::from_bits(0x1bcd63f5f2f8bd9e), f64::from_bits(0x1870739f78a5292e), f64::from_bits(0x1524d7f6bf623f1a)],
];

/// log2((1 + s) / (1 − s)) / s in s², |s| ≤ 0.1716, for f32 results. Largest weighted error 2^-55.98.
pub(super) const LOG2_POW: [f64; 8] = [
    f64::from_bits(0x40071547652b82fe), // 2.8853900817779268
    f64::from_bits(0x3feec709dc3a0629), // 0.9617966939260373
    f64::from_bits(0x3fe2776c50ebd385), // 0.5770780163280597
    f64::from_bits(0x3fda61763072232a), // 0.41219858866729686
    f64::from_bits(0x3fd484aebb7f515a), // 0.3205983000782645
    f64::from_bits(0x3fd0ca41d912bcf6), // 0.2623448009353092
    f64::from_bits(0x3fcc3f1f71883268), // 0.22067635577731726
    f64::from_bits(0x3fcb9f7957e82d90), // 0.21580426018077192
];

/// 2ʳ for |r| ≤ 1/2, for f32 results. Largest weighted error 2^-40.23.
pub(super) const EXP2_POW: [f64; 9] = [
    f64::from_bits(0x3feffffffffff79b), // 0.9999999999997614
    f64::from_bits(0x3fe62e42fef860b2), // 0.693147180546495
    f64::from_bits(0x3fcebfbdff9328f8), // 0.2402265069889109
    f64::from_bits(0x3fac6b08dd4894c3), // 0.05550410939421504
    f64::from_bits(0x3f83b2ab5c41f734), // 0.009618128540974526
    f64::from_bits(0x3f55d874815b26bb), // 0.0013333451983491968
    f64::from_bits(0x3f2430ace10c0dd9), // 0.00015403852787452993
    f64::from_bits(0x3ef00dae9dbc42de), // 1.5309758835848886e-05
    f64::from_bits(0x3eb61ae9e09872e6), // 1.317568491982624e-06
];

/// (2 atanh s − 2s − 2s³/3 − 2s⁵/5) / s⁷ in s², |s| ≤ 0.1716. Largest weighted error 2^-65.5.
pub(super) const LN_TAIL_POW: [f64; 6] = [
    f64::from_bits(0x3fd2492492481313), // 0.2857142857103991
    f64::from_bits(0x3fcc71c71f9eeb7b), // 0.22222222370131903
    f64::from_bits(0x3fc745cf9dc26529), // 0.18181796267598685
    f64::from_bits(0x3fc3b1c47a6aef6c), // 0.15386253335406808
    f64::from_bits(0x3fc0fb9033b8e19f), // 0.13267710233209315
    f64::from_bits(0x3fc0c53256b8ca9b), // 0.1310179637381069
];

/// log10 2 in two words, the first of 14 bits.
pub(super) const LOG10_2_F32: (f64, f64) = (f64::from_bits(0x3fd3440000000000), f64::from_bits(0x3ed3509f80000000));

/// log10 2 in two words, the first of 41 bits.
pub(super) const LOG10_2_F64: (f64, f64) = (f64::from_bits(0x3fd34413509f8000), f64::from_bits(0xbd380433b83b532a));

/// log2 e in two words, the first of 24 bits.
pub(super) const LOG2_E_F32: (f64, f64) = (f64::from_bits(0x3ff7154760000000), f64::from_bits(0x3e54ae0c00000000));

/// log2 e in two words, the first of 53 bits.
pub(super) const LOG2_E_F64: (f64, f64) = (f64::from_bits(0x3ff71547652b82fe), f64::from_bits(0x3c7777d0ffda0d24));

/// log10 e in two words, the first of 24 bits.
pub(super) const LOG10_E_F32: (f64, f64) = (f64::from_bits(0x3fdbcb7b20000000), f64::from_bits(0xbe45b235e0000000));

/// log10 e in two words, the first of 53 bits.
pub(super) const LOG10_E_F64: (f64, f64) = (f64::from_bits(0x3fdbcb7b1526e50e), f64::from_bits(0x3c695355baaafad3));

/// π in two words, the first of 24 bits.
pub(super) const PI_WORDS_F32: (f64, f64) = (f64::from_bits(0x400921fb60000000), f64::from_bits(0xbe7777a5c0000000));

/// π in two words, the first of 53 bits.
pub(super) const PI_WORDS_F64: (f64, f64) = (f64::from_bits(0x400921fb54442d18), f64::from_bits(0x3ca1a62633145c07));

/// ½ ln 2π − ½ in two words, the first of 53 bits.
pub(super) const STIRLING_CONSTANT_F64: (f64, f64) = (f64::from_bits(0x3fdacfe390c97d69), f64::from_bits(0x3c73494bc9001442));

/// ln 10 in two words, the first of 24 bits.
pub(super) const LN_10_F32: (f64, f64) = (f64::from_bits(0x40026bb1c0000000), f64::from_bits(0xbe612aaba0000000));

/// ln 10 in two words, the first of 53 bits.
pub(super) const LN_10_F64: (f64, f64) = (f64::from_bits(0x40026bb1bbb55516), f64::from_bits(0xbcaf48ad494ea3e9));

/// 2 √(2/π) in two words, the first of 53 bits.
pub(super) const GELU_LINEAR_F64: (f64, f64) = (f64::from_bits(0x3ff9884533d43651), f64::from_bits(0xbc9cbc0d30ebfd15));

/// 2 √(2/π) · 0.044715 in two words, the first of 53 bits.
pub(super) const GELU_CUBIC_F64: (f64, f64) = (f64::from_bits(0x3fb2444f2a4d8b4b), f64::from_bits(0xbc26c843a29d1c70));

/// (((2ʳ − 1) / r) − ln 2) / r for |r| ≤ 0.5. Largest weighted error 2^-28.91.
pub(super) const EXP2_F32: [f64; 5] = [
    f64::from_bits(0x3fcebfbd60000000), // 0.24022643268108368
    f64::from_bits(0x3fac6af800000000), // 0.05550360679626465
    f64::from_bits(0x3f83b32980000000), // 0.00961906835436821
    f64::from_bits(0x3f55f05e40000000), // 0.0013390465173870325
    f64::from_bits(0x3f23e150a0000000), // 0.00015167340461630374
];

/// (((2ʳ − 1) / r) − ln 2) / r for |r| ≤ 0.5. Largest weighted error 2^-58.1.
pub(super) const EXP2_F64: [f64; 10] = [
    f64::from_bits(0x3fcebfbdff82c594), // 0.24022650695910086
    f64::from_bits(0x3fac6b08d704a02a), // 0.05550410866482054
    f64::from_bits(0x3f83b2ab6fba2447), // 0.009618129107609742
    f64::from_bits(0x3f55d87fe78df500), // 0.0013333558146933489
    f64::from_bits(0x3f243091308ae9c9), // 0.00015403530439590658
    f64::from_bits(0x3eeffcbfb0cda0e3), // 1.525273321485759e-05
    f64::from_bits(0x3eb62bfd58cf8cb1), // 1.3215443204143914e-06
    f64::from_bits(0x3e7b5281554d271c), // 1.0178344684894159e-07
    f64::from_bits(0x3e3e6054be84a34d), // 7.072531872905307e-09
    f64::from_bits(0x3dfe4ea0618289d0), // 4.4102685523530624e-10
];

/// (((10ʳ − 1) / r) − ln 10) / r for |r| ≤ 0.1505. Largest weighted error 2^-28.84.
pub(super) const EXP10_F32: [f64; 5] = [
    f64::from_bits(0x4005352440000000), // 2.6509480476379395
    f64::from_bits(0x400046fc60000000), // 2.034661054611206
    f64::from_bits(0x3ff2be06c0000000), // 1.1713931560516357
    f64::from_bits(0x3fe1554440000000), // 0.5416585206985474
    f64::from_bits(0x3fca001a80000000), // 0.2031281590461731
];

/// (((10ʳ − 1) / r) − ln 10) / r for |r| ≤ 0.1505. Largest weighted error 2^-58.28.
pub(super) const EXP10_F64: [f64; 10] = [
    f64::from_bits(0x40053524c73cea6f), // 2.650949055239202
    f64::from_bits(0x4000470591de2bf8), // 2.0346785922933996
    f64::from_bits(0x3ff2bd7609fd67f9), // 1.1712551489094933
    f64::from_bits(0x3fe1429ffd20eee4), // 0.5393829292219974
    f64::from_bits(0x3fca7ed709bf7026), // 0.20699584938017884
    f64::from_bits(0x3fb16e4def386c24), // 0.06808936205236243
    f64::from_bits(0x3f94116679547fb7), // 0.01959762683429719
    f64::from_bits(0x3f7489a173f4b3a9), // 0.005014067340465647
    f64::from_bits(0x3f52f6a67f2c4685), // 0.0011574388451588713
    f64::from_bits(0x3f2f69139255a5a9), // 0.00023964275275582578
];

/// (log2(1 + f) − f log2 e) / f² for √½ − 1 ≤ f ≤ √2 − 1. Largest weighted error 2^-27.67.
pub(super) const LOG2_F32: [f64; 9] = [
    f64::from_bits(0xbfe7154700000000), // -0.7213473320007324
    f64::from_bits(0x3fdec70940000000), // 0.4808982014656067
    f64::from_bits(0xbfd715ac80000000), // -0.360697865486145
    f64::from_bits(0x3fd277ee60000000), // 0.28857001662254333
    f64::from_bits(0xbfceab1600000000), // -0.23959612846374512
    f64::from_bits(0x3fca2e9a20000000), // 0.20454718172550201
    f64::from_bits(0xbfc877fec0000000), // -0.19116196036338806
    f64::from_bits(0x3fc7df8940000000), // 0.18650928139686584
    f64::from_bits(0xbfbc3130c0000000), // -0.1101255863904953
];

/// (log2(1 + f) − f log2 e) / f² for √½ − 1 ≤ f ≤ √2 − 1. Largest weighted error 2^-56.8.
pub(super) const LOG2_F64: [f64; 20] = [
    f64::from_bits(0xbfe71547652b8303), // -0.7213475204444822
    f64::from_bits(0x3fdec709dc3a03ad), // 0.48089834696298334
    f64::from_bits(0xbfd71547652b699e), // -0.36067376022188025
    f64::from_bits(0x3fd2776c50eff3d5), // 0.28853900817904093
    f64::from_bits(0xbfcec709dc5f200e), // -0.24044917354899592
    f64::from_bits(0x3fca61762a494049), // 0.20609929146530906
    f64::from_bits(0xbfc7154758ee9199), // -0.1803368744123304
    f64::from_bits(0x3fc484b13d6797b7), // 0.16029944895052292
    f64::from_bits(0xbfc2776e7c75c7a1), // -0.14426976277496542
    f64::from_bits(0x3fc0c9aa789b8059), // 0.13115435494455843
    f64::from_bits(0xbfbec6983f16ff5c), // -0.12021781482962751
    f64::from_bits(0x3fbc68231f0e891a), // 0.1109640074560371
    f64::from_bits(0xbfba6829e4551908), // -0.10315191101571852
    f64::from_bits(0x3fb8b1643f6bdebc), // 0.09645678089497783
    f64::from_bits(0xbfb6e08cf25a3bf3), // -0.08936386982735182
    f64::from_bits(0x3fb4e6c0bea919d3), // 0.08164600996779052
    f64::from_bits(0xbfb4f983b973e9da), // -0.08193228986411985
    f64::from_bits(0x3fb81d5c9d19af88), // 0.09419802508790387
    f64::from_bits(0xbfb62bedd0b8ca73), // -0.08660780282733942
    f64::from_bits(0x3fa350edc3ac6a93), // 0.0377268124922995
];

/// (log10(1 + f) − f log10 e) / f² for |f| ≤ 0.3341. Largest weighted error 2^-27.69.
pub(super) const LOG10_F32: [f64; 9] = [
    f64::from_bits(0xbfcbcb7b20000000), // -0.21714724600315094
    f64::from_bits(0x3fc287a2c0000000), // 0.1447642743587494
    f64::from_bits(0xbfbbcb66c0000000), // -0.10857240855693817
    f64::from_bits(0x3fb63f7d20000000), // 0.08690626174211502
    f64::from_bits(0xbfb28c1680000000), // -0.07245007157325745
    f64::from_bits(0x3faf205be0000000), // 0.06079375371336937
    f64::from_bits(0xbfab0e1500000000), // -0.05284181237220764
    f64::from_bits(0x3faf2cd5a0000000), // 0.06088893488049507
    f64::from_bits(0xbfaccc1920000000), // -0.05624464526772499
];

/// (log10(1 + f) − f log10 e) / f² for |f| ≤ 0.3341. Largest weighted error 2^-56.78.
pub(super) const LOG10_F64: [f64; 20] = [
    f64::from_bits(0xbfcbcb7b1526e507), // -0.21714724095162571
    f64::from_bits(0x3fc287a7636f4341), // 0.14476482730108312
    f64::from_bits(0xbfbbcb7b15270aee), // -0.10857362047594751
    f64::from_bits(0x3fb63c627752b3c3), // 0.08685889638100179
    f64::from_bits(0xbfb287a76352789c), // -0.07238241362435577
    f64::from_bits(0x3fafc3fa60de2e2b), // 0.06204206879109749
    f64::from_bits(0xbfabcb7b291353c8), // -0.054286812557314656
    f64::from_bits(0x3fa8b4df505856da), // 0.04825494628691525
    f64::from_bits(0xbfa63c5eb2249ddc), // -0.04342933582875805
    f64::from_bits(0x3fa436dfac36f440), // 0.03948115327100554
    f64::from_bits(0xbfa28814a20f4a53), // -0.036194462568933126
    f64::from_bits(0x3fa11b510db34a22), // 0.0334115342353878
    f64::from_bits(0xbf9fb494413ee6d2), // -0.030962292177469326
    f64::from_bits(0x3f9d93449f94fa69), // 0.028882095565899855
    f64::from_bits(0xbf9c7914544be0db), // -0.027805631299060756
    f64::from_bits(0x3f9aec913e5bdc12), // 0.02629305785282205
    f64::from_bits(0xbf941d29d55ee425), // -0.019642499588119606
    f64::from_bits(0x3f9285665f625a49), // 0.018087005206860494
    f64::from_bits(0xbfa363186260d5d9), // -0.03786541176706821
    f64::from_bits(0x3fa2f1d26bf79583), // 0.03700120513876028
];

/// (atan z / z − 1) / s in s = z² for z ≤ 1. Largest weighted error 2^-28.5.
pub(super) const ATAN_F32: [f64; 9] = [
    f64::from_bits(0xbfd55553e0000000), // -0.33333298563957214
    f64::from_bits(0x3fc9991ea0000000), // 0.1999853402376175
    f64::from_bits(0xbfc2420f80000000), // -0.14264100790023804
    f64::from_bits(0x3fbc092b00000000), // 0.10951489210128784
    f64::from_bits(0xbfb58202a0000000), // -0.08401504904031754
    f64::from_bits(0x3fada86920000000), // 0.057925496250391006
    f64::from_bits(0xbf9fe4f4e0000000), // -0.031146837398409843
    f64::from_bits(0x3f8651e560000000), // 0.010898391716182232
    f64::from_bits(0xbf5d5422a0000000), // -0.0017900789389386773
];

/// (atan z / z − 1) / s in s = z² for z ≤ 1. Largest weighted error 2^-57.57.
pub(super) const ATAN_F64: [f64; 20] = [
    f64::from_bits(0xbfd5555555555525), // -0.33333333333333065
    f64::from_bits(0x3fc99999999954b3), // 0.19999999999951043
    f64::from_bits(0xbfc249249237c453), // -0.14285714282553616
    f64::from_bits(0x3fbc71c717f2f058), // 0.1111111100644292
    f64::from_bits(0xbfb745d11a4580a3), // -0.09090906993287944
    f64::from_bits(0x3fb3b13662c78299), // 0.07692279731373687
    f64::from_bits(0xbfb110e4ddacefef), // -0.06666403209686654
    f64::from_bits(0x3fae1bb81152f5aa), // 0.05880522929644923
    f64::from_bits(0xbfaae5dd344ecbf8), // -0.05253497375033328
    f64::from_bits(0x3fa82d8ccd343b1a), // 0.04722251896793335
    f64::from_bits(0xbfa599ecd7219b2f), // -0.04218998075594126
    f64::from_bits(0x3fa2c240d7c60cca), // 0.0366382850070522
    f64::from_bits(0xbf9e9da18064c680), // -0.029898189031149602
    f64::from_bits(0x3f9681649afc7a80), // 0.02197797008477176
    f64::from_bits(0xbf8c74883c87b3c0), // -0.013894142482024807
    f64::from_bits(0x3f7d755b80da5307), // 0.007191998896492142
    f64::from_bits(0xbf679d4961abad8a), // -0.002882617305081052
    f64::from_bits(0x3f4b36dc650e5e9a), // 0.0008305145403139814
    f64::from_bits(0xbf23ebd683c0478b), // -0.00015198701464718927
    f64::from_bits(0x3eebb2dbf683cd13), // 1.320775454913837e-05
];

/// (atan z / z − 1) / s in s = z² for z ≤ 1/2. Largest weighted error 2^-57.77.
pub(super) const ATAN_HALF_F64: [f64; 12] = [
    f64::from_bits(0xbfd5555555555516), // -0.3333333333333298
    f64::from_bits(0x3fc999999999110f), // 0.19999999999902981
    f64::from_bits(0xbfc249249215c405), // -0.14285714276368836
    f64::from_bits(0x3fbc71c70903f61a), // 0.11111110658745141
    f64::from_bits(0xbfb745cf4b8f18f2), // -0.09090896219922565
    f64::from_bits(0x3fb3b113c911bd32), // 0.07692073496740617
    f64::from_bits(0xbfb10f31279e024d), // -0.06663806168763493
    f64::from_bits(0x3fadfe8c7c4231fa), // 0.058582678001673785
    f64::from_bits(0xbfaa395460b9f069), // -0.051218640143788026
    f64::from_bits(0x3fa56ecdae44964d), // 0.04186098816198278
    f64::from_bits(0xbf9c162cab614742), // -0.02742833896656483
    f64::from_bits(0x3f84b5af5c2045d1), // 0.01011216163536491
];

/// (asin z / z − 1) / s in s = z² for z ≤ 1/2. Largest weighted error 2^-27.61.
pub(super) const ASIN_F32: [f64; 5] = [
    f64::from_bits(0x3fc5555c80000000), // 0.16666752099990845
    f64::from_bits(0x3fb3302000000000), // 0.07495307922363281
    f64::from_bits(0x3fa747c740000000), // 0.0454695001244545
    f64::from_bits(0x3f98c340c0000000), // 0.024182330816984177
    f64::from_bits(0x3fa59676c0000000), // 0.04216357320547104
];

/// (asin z / z − 1) / s in s = z² for z ≤ 1/2. Largest weighted error 2^-59.85.
pub(super) const ASIN_F64: [f64; 13] = [
    f64::from_bits(0x3fc5555555555577), // 0.1666666666666676
    f64::from_bits(0x3fb333333332e11b), // 0.07499999999970834
    f64::from_bits(0x3fa6db6db72142b8), // 0.04464285717461308
    f64::from_bits(0x3f9f1c71a9410e28), // 0.03038194270653896
    f64::from_bits(0x3f96e8bdefe6c2db), // 0.022372215049190607
    f64::from_bits(0x3f91c49edeb58c00), // 0.01735161051091083
    f64::from_bits(0x3f8ca1fcf0e2bb6f), // 0.01398084268688901
    f64::from_bits(0x3f875833c1ffd952), // 0.011398701055423874
    f64::from_bits(0x3f8614a863dc7967), // 0.010781589076540766
    f64::from_bits(0x3f6e51341134d6f3), // 0.0037008301675552856
    f64::from_bits(0x3f963e59bf10ac67), // 0.02172222355526934
    f64::from_bits(0xbf9586aded0f2cd2), // -0.021021573633146336
    f64::from_bits(0x3fa0b6ab1857aaf5), // 0.03264364883565022
];

/// (atanh z / z − 1) / s in s = z² for z ≤ 1/2. Largest weighted error 2^-29.36.
pub(super) const ATANH_F32: [f64; 6] = [
    f64::from_bits(0x3fd55553e0000000), // 0.33333298563957214
    f64::from_bits(0x3fc99a72c0000000), // 0.20002588629722595
    f64::from_bits(0x3fc2342360000000), // 0.14221613109111786
    f64::from_bits(0x3fbe4a63e0000000), // 0.11832260340452194
    f64::from_bits(0x3faa24ffa0000000), // 0.051063526421785355
    f64::from_bits(0x3fc6aa6ee0000000), // 0.17707620561122894
];

/// (atanh z / z − 1) / s in s = z² for z ≤ 1/2. Largest weighted error 2^-57.05.
pub(super) const ATANH_F64: [f64; 13] = [
    f64::from_bits(0x3fd55555555555cc), // 0.3333333333333399
    f64::from_bits(0x3fc999999998784b), // 0.19999999999794435
    f64::from_bits(0x3fc2492492c440a0), // 0.1428571430810779
    f64::from_bits(0x3fbc71c6e7c5d4db), // 0.11111109884753338
    f64::from_bits(0x3fb745d8156b246e), // 0.09090948603547286
    f64::from_bits(0x3fb3b0b24e89c5df), // 0.07691492478786398
    f64::from_bits(0x3fb1187a04a5f882), // 0.06677973378643468
    f64::from_bits(0x3fad90498556f5f4), // 0.05774144890481728
    f64::from_bits(0x3faea33369a66490), // 0.05983887352631101
    f64::from_bits(0x3f8db55c7eb50be3), // 0.014506075493619213
    f64::from_bits(0x3fc291e21748924d), // 0.14507700096977985
    f64::from_bits(0xbfc3993eaafb10d3), // -0.15311416004818187
    f64::from_bits(0x3fccca2374d9c332), // 0.22491877751920125
];

/// (sinh z / z − 1) / s in s = z² for z ≤ 1. Largest weighted error 2^-31.39.
pub(super) const SINH_F32: [f64; 4] = [
    f64::from_bits(0x3fc5555560000000), // 0.1666666716337204
    f64::from_bits(0x3f81110ea0000000), // 0.008333315141499043
    f64::from_bits(0x3f2a01c200000000), // 0.00019841664470732212
    f64::from_bits(0x3ec7677a80000000), // 2.7899995984626003e-06
];

/// (sinh z / z − 1) / s in s = z² for z ≤ 1. Largest weighted error 2^-62.58.
pub(super) const SINH_F64: [f64; 8] = [
    f64::from_bits(0x3fc5555555555555), // 0.16666666666666666
    f64::from_bits(0x3f8111111111117e), // 0.008333333333333522
    f64::from_bits(0x3f2a01a01a00d531), // 0.00019841269841129044
    f64::from_bits(0x3ec71de3a6119ebc), // 2.7557319275844943e-06
    f64::from_bits(0x3e5ae644ab0f8bcc), // 2.505209789953205e-08
    f64::from_bits(0x3de612b0eea7c8a7), // 1.6060230170729968e-10
    f64::from_bits(0x3d6aa86980b18ea5), // 7.576619465108607e-13
    f64::from_bits(0x3cf4713370626e55), // 4.539078257010976e-15
];

/// (sin(πz) / z − π) / s in s = z² for z ≤ 1/4. Largest weighted error 2^-33.18.
pub(super) const SINPI_F32: [f64; 4] = [
    f64::from_bits(0xc014abbce0000000), // -5.167712688446045
    f64::from_bits(0x400466b820000000), // 2.5501558780670166
    f64::from_bits(0xbfe32b45e0000000), // -0.5990323424339294
    f64::from_bits(0x3fb465e8c0000000), // 0.07968001067638397
];

/// (sin(πz) / z − π) / s in s = z² for z ≤ 1/4. Largest weighted error 2^-63.16.
pub(super) const SINPI_F64: [f64; 7] = [
    f64::from_bits(0xc014abbce625be53), // -5.16771278004997
    f64::from_bits(0x400466bc6775ab5c), // 2.5501640398773997
    f64::from_bits(0xbfe32d2cce636070), // -0.5992645293254224
    f64::from_bits(0x3fb50783494b8770), // 0.08214588679723334
    f64::from_bits(0xbf7e3075fdaf15a6), // -0.007370434667739378
    f64::from_bits(0x3f3e8fcfc3f787d9), // 0.0004663355102519896
    f64::from_bits(0xbef703a70852f8df), // -2.1948115791253143e-05
];

/// (cos(πz) − 1) / s in s = z² for z ≤ 1/4. Largest weighted error 2^-30.92.
pub(super) const COSPI_F32: [f64; 4] = [
    f64::from_bits(0xc013bd3cc0000000), // -4.934802055358887
    f64::from_bits(0x40103c1b60000000), // 4.0586981773376465
    f64::from_bits(0xbff55b68e0000000), // -1.334816813468933
    f64::from_bits(0x3fcd623a60000000), // 0.22956018149852753
];

/// (cos(πz) − 1) / s in s = z² for z ≤ 1/4. Largest weighted error 2^-61.41.
pub(super) const COSPI_F64: [f64; 8] = [
    f64::from_bits(0xc013bd3cc9be45de), // -4.934802200544679
    f64::from_bits(0x40103c1f081b5a55), // 4.05871212641667
    f64::from_bits(0xbff55d3c7e3bf894), // -1.335262768843255
    f64::from_bits(0x3fce1f50672cd8c7), // 0.23533062970972748
    f64::from_bits(0xbf9a6d1dca2fdb14), // -0.025806870904456394
    f64::from_bits(0x3f5f9bb34ce0fc0f), // 0.0019292117099352112
    f64::from_bits(0xbf1a8b940e6d703e), // -0.00010126200832644234
    f64::from_bits(0xbee1ffb7dd94c38e), // -8.582544000464308e-06
];

/// (x + 2) · erfcx x in v = 1 − 4 / (x + 2). Largest weighted error 2^-33.68.
pub(super) const ERFC_TAIL_F32: [f64; 11] = [
    f64::from_bits(0x3ff058671b51a888), // 1.021582705225713
    f64::from_bits(0xbfe5fd38669373ca), // -0.6871606830060213
    f64::from_bits(0x3fd1e2deec9a61f4), // 0.2794720945908289
    f64::from_bits(0xbfa2a8916034c905), // -0.036442320817871056
    f64::from_bits(0xbf9606e4e50602af), // -0.021510673979266922
    f64::from_bits(0x3f7a8b92354d168f), // 0.0064807616479975036
    f64::from_bits(0x3f69501f3b410749), // 0.0030899629582855953
    f64::from_bits(0xbf4bccceeed10aa6), // -0.0008483896650733527
    f64::from_bits(0xbf45772b83e29079), // -0.0006550753094143456
    f64::from_bits(0x3f118a240eac9a45), // 6.690831257270224e-05
    f64::from_bits(0x3f1e99b4c7be3998), // 0.00011673131842668825
];

/// (x + 2) · erfcx x in v = 1 − 4 / (x + 2). Largest weighted error 2^-55.73.
pub(super) const ERFC_TAIL_F64: [f64; 25] = [
    f64::from_bits(0x3ff058671b52c776), // 1.021582705242023
    f64::from_bits(0xbfe5fd386754eff9), // -0.6871606844138106
    f64::from_bits(0x3fd1e2deea6b112b), // 0.2794720925560507
    f64::from_bits(0xbfa2a88e6107d1d4), // -0.03644223150687123
    f64::from_bits(0xbf9606e415516021), // -0.021510661889209474
    f64::from_bits(0x3f7a89eaff7c6849), // 0.0064791850670876195
    f64::from_bits(0x3f69517bb5d4d9ee), // 0.003090612050665734
    f64::from_bits(0xbf4b6fbf8cbbae2b), // -0.000837296037813078
    f64::from_bits(0xbf45ba4337668834), // -0.0006630733685606461
    f64::from_bits(0x3f020530752ea14f), // 3.4370938599539485e-05
    f64::from_bits(0x3f22ef987ff9d8f7), // 0.00014446960993880879
    f64::from_bits(0x3f01e828fef82232), // 3.415465459616732e-05
    f64::from_bits(0xbef6bf1b1ceb01fc), // -2.1692759953452823e-05
    f64::from_bits(0xbef0f1dab6f84efe), // -1.6159766742586915e-05
    f64::from_bits(0xbeb2989a9bbe7480), // -1.1084144792902078e-06
    f64::from_bits(0x3ecfc70a0d97cf47), // 3.788172858726615e-06
    f64::from_bits(0x3ebe7c4181ab9911), // 1.8170699209118779e-06
    f64::from_bits(0xbe8df44af4178d82), // -2.2317669316685018e-07
    f64::from_bits(0x3e5a3cd18cbb1cc8), // 2.4435643549198134e-08
    f64::from_bits(0xbe9f20cdb0cf378c), // -4.6384541080030435e-07
    f64::from_bits(0xbea603066c5dd94e), // -6.560032594766288e-07
    f64::from_bits(0x3eaa96473f5a7ab3), // 7.923550799543384e-07
    f64::from_bits(0xbe731d4e2c499883), // -7.12069648328669e-08
    f64::from_bits(0xbe844a17c78d0c5b), // -1.5116799880797495e-07
    f64::from_bits(0x3e68225c8692dae5), // 4.495349587836956e-08
];

/// (x + 3) · ½ erfcx(x/√2) in v = 1 − 6 / (x + 3). Largest weighted error 2^-30.44.
pub(super) const GELU_TAIL_F32: [f64; 12] = [
    f64::from_bits(0x3fe754a751abdbf4), // 0.7290836901801172
    f64::from_bits(0xbfe04c7299ab2c08), // -0.5093319894161832
    f64::from_bits(0x3fcd713879b571af), // 0.23001771872340046
    f64::from_bits(0xbfa832d2aa30f8ea), // -0.04726274802713866
    f64::from_bits(0xbf856d8946cd3acf), // -0.010462830041118391
    f64::from_bits(0x3f7c8c4b39f47351), // 0.006969732144423827
    f64::from_bits(0x3f50d216fab23e7a), // 0.0010266518027356717
    f64::from_bits(0xbf50ee0d88df6d7e), // -0.0010333187269598583
    f64::from_bits(0xbf3059faf9cda2d8), // -0.0002495038732406702
    f64::from_bits(0x3f21199bf7778119), // 0.00013046292200070349
    f64::from_bits(0x3f0ecfb2ac1d9b77), // 5.8767929217043895e-05
    f64::from_bits(0x3ec3c0e63db4c4db), // 2.3548022746391608e-06
];

/// (x + 3) · ½ erfcx(x/√2) in v = 1 − 6 / (x + 3). Largest weighted error 2^-54.07.
pub(super) const GELU_TAIL_F64: [f64; 26] = [
    f64::from_bits(0x3fe754a751a56f4a), // 0.729083690133373
    f64::from_bits(0xbfe04c7295a48f33), // -0.5093319819174894
    f64::from_bits(0x3fcd71387c654b96), // 0.23001771997459447
    f64::from_bits(0xbfa832dbf699249c), // -0.04726302514297595
    f64::from_bits(0xbf856d8e3d7bad91), // -0.010462867022815544
    f64::from_bits(0x3f7c8f52c31f4662), // 0.006972621240451811
    f64::from_bits(0x3f50d608c637a115), // 0.001027592247618674
    f64::from_bits(0xbf512285ed9efc85), // -0.001045828618302187
    f64::from_bits(0xbf30d09e1dabb9ae), // -0.0002565752053404158
    f64::from_bits(0x3f243c9d833c907c), // 0.00015439436685327549
    f64::from_bits(0x3f14a8f612d6f5f7), // 7.881166376130082e-05
    f64::from_bits(0xbeebc6de7e8030a6), // -1.3245025868989794e-05
    f64::from_bits(0xbef5b0883c2bbc31), // -2.0684794217847884e-05
    f64::from_bits(0xbecd8ee36d1c1e3b), // -3.523606985636976e-06
    f64::from_bits(0x3ece718f251eede7), // 3.629158791233192e-06
    f64::from_bits(0x3ec31a8919ee04e5), // 2.2773330807251724e-06
    f64::from_bits(0x3e55f19d22a6946f), // 2.043675998712482e-08
    f64::from_bits(0xbea567d4567be85a), // -6.379361083546338e-07
    f64::from_bits(0xbe91d8f4fcf52adc), // -2.659482989010844e-07
    f64::from_bits(0x3e7a51a2defd2792), // 9.804551104084181e-08
    f64::from_bits(0x3e6c7ea933d9083b), // 5.3075643863007764e-08
    f64::from_bits(0xbe378b773eb69532), // -5.481948210833893e-09
    f64::from_bits(0x3e63ff983e7f16b0), // 3.7249954065337036e-08
    f64::from_bits(0xbe492429d2dc3331), // -1.1707312976287801e-08
    f64::from_bits(0xbe5724503b6bb840), // -2.155252662010444e-08
    f64::from_bits(0x3e4442eb6415676b), // 9.434951600096033e-09
];

/// ½ erf(x/√2) / x in s = x² for x ≤ 1/2. Largest weighted error 2^-53.83.
pub(super) const GELU_NEAR_F64: [f64; 10] = [
    f64::from_bits(0x3fd9884533d43651), // 0.3989422804014327
    f64::from_bits(0xbfb1058377e2d06e), // -0.06649038006691096
    f64::from_bits(0x3f846d042979b975), // 0.009973557010394466
    f64::from_bits(0xbf537403f9a4060e), // -0.0011873282260811443
    f64::from_bits(0x3f1e42b3bfd96741), // 0.00011543485740031242
    f64::from_bits(0xbee3cf6b46f80b0e), // -9.446254096272886e-06
    f64::from_bits(0x3ea6a6b87482a5fa), // 6.750599164290795e-07
    f64::from_bits(0xbe73519e3df0fb45), // -7.196821581819314e-08
    f64::from_bits(0x3e6fbf52eb15254c), // 5.9134064210053556e-08
    f64::from_bits(0xbe67d62256490545), // -4.439886927945354e-08
];

/// z (ln Γ(z) − (z − ½) ln z + z − ½ ln 2π) in 1/z² for z ≥ 7. Largest weighted error 2^-57.59.
pub(super) const STIRLING: [f64; 7] = [
    f64::from_bits(0x3fb5555555555555), // 0.08333333333333333
    f64::from_bits(0xbf66c16c16c0c703), // -0.0027777777777594505
    f64::from_bits(0x3f4a01a012590540), // 0.000793650779719858
    f64::from_bits(0xbf43812f4a8b3496), // -0.0005952340044018841
    f64::from_bits(0x3f4b903d45f026f4), // 0.0008411692796254908
    f64::from_bits(0xbf5eb50b107266ba), // -0.0018742187546991044
    f64::from_bits(0x3f736a822e177fe1), // 0.0047402463110017565
];

/// As [`STIRLING`] for z ≥ 4.25, for f32 results. Largest weighted error 2^-28.45.
pub(super) const LGAMMA_FAR_F32: [f64; 3] = [
    f64::from_bits(0x3fb555554993c21f), // 0.08333333059614077
    f64::from_bits(0xbf66bf8323d17ce1), // -0.0027768670393438642
    f64::from_bits(0x3f48857a3c4d28b6), // 0.0007483336308749175
];

/// As [`STIRLING`] for z ≥ 4.25, for f64 results. Largest weighted error 2^-56.76.
pub(super) const LGAMMA_FAR_F64: [f64; 9] = [
    f64::from_bits(0x3fb5555555555555), // 0.08333333333333333
    f64::from_bits(0xbf66c16c16c0ad9f), // -0.0027777777777566316
    f64::from_bits(0x3f4a01a013c9fd7e), // 0.0007936507823415454
    f64::from_bits(0xbf4381333c656202), // -0.0005952358413124361
    f64::from_bits(0x3f4b933b7309992d), // 0.0008415260582068977
    f64::from_bits(0xbf5f35169bec205e), // -0.001904747084781298
    f64::from_bits(0x3f787213498d8a87), // 0.005968165722921476
    f64::from_bits(0xbf94663ba9bf0570), // -0.019921238170132083
    f64::from_bits(0x3fa615605f710c07), // 0.04313183941896886
];

/// ln Γ(2 + t) / (t (t + 1)) for t from −¾ to ¼, for f32 results. Largest weighted error 2^-33.15.
pub(super) const LGAMMA_NEAR_F32: [f64; 11] = [
    f64::from_bits(0x3fdb0ee6072586f7), // 0.42278433511647456
    f64::from_bits(0xbfb9ae650e4e5922), // -0.10031730269688358
    f64::from_bits(0x3fa0e0c9aa5b206a), // 0.032964994473844225
    f64::from_bits(0xbf895cd4b2e039ab), // -0.01238409205327858
    f64::from_bits(0x3f7479f167409a2e), // 0.004999106389766568
    f64::from_bits(0xbf61497db56d3a7a), // -0.0021102385757452687
    f64::from_bits(0x3f4d96e54cb6449b), // 0.0009029979350306973
    f64::from_bits(0xbf3a94b0339c524a), // -0.000405591028184636
    f64::from_bits(0x3f32304e056c70d9), // 0.0002775373917971564
    f64::from_bits(0x3f1e8905822b82fd), // 0.00011648269768783563
    f64::from_bits(0x3f282e838c8ebd80), // 0.00018449168990518003
];

/// ln Γ(2 + t) / (t (t + 1)) for t from −¾ to ¼, for f64 results. Largest weighted error 2^-56.18.
pub(super) const LGAMMA_NEAR_F64: [f64; 20] = [
    f64::from_bits(0x3fdb0ee6072093ce), // 0.42278433509846713
    f64::from_bits(0xbfb9ae6509ea10a2), // -0.10031730167435396
    f64::from_bits(0x3fa0e0c9df2935fd), // 0.03296500062115724
    f64::from_bits(0xbf895ce223a9a8c3), // -0.012384192193355742
    f64::from_bits(0x3f747974853915fe), // 0.004998641164609461
    f64::from_bits(0xbf6145121fd4a9d6), // -0.002108130835627646
    f64::from_bits(0x3f4dfebcf84899f6), // 0.0009153769211181484
    f64::from_bits(0xbf3a96a3b4ba3134), // -0.00040570732810675807
    f64::from_bits(0x3f27ed755f7098f6), // 0.00018255288861829922
    f64::from_bits(0xbf15c87d0d7b5b3f), // -8.309615383992901e-05
    f64::from_bits(0x3f0401eab5f6ff4f), // 3.816125422018026e-05
    f64::from_bits(0xbef286429df57a64), // -1.7666296000635315e-05
    f64::from_bits(0x3ee1685adc55ab71), // 8.300607883445742e-06
    f64::from_bits(0xbece3e952bc29630), // -3.605421026691887e-06
    f64::from_bits(0x3ebefa3e275fa6d3), // 1.846403532729963e-06
    f64::from_bits(0xbec1c344cc367edc), // -2.1174870156874677e-06
    f64::from_bits(0xbec84317ef34abe7), // -2.892265791883716e-06
    f64::from_bits(0xbed211e10c6ee337), // -4.308185629513936e-06
    f64::from_bits(0xbec6473702bff177), // -2.6557663854715813e-06
    f64::from_bits(0xbead44921481c9e6), // -8.722500206683516e-07
];

/// (2 atanh s − 2s) / s³ in s², |s| ≤ 0.1716. Largest weighted error 2^-59.5.
pub(super) const LN_TAIL_F64: [f64; 7] = [
    f64::from_bits(0x3fe5555555555592), // 0.6666666666666734
    f64::from_bits(0x3fd999999997ff45), // 0.39999999999416885
    f64::from_bits(0x3fd24924941de28e), // 0.2857142874195596
    f64::from_bits(0x3fcc71c5216f6544), // 0.22222198612761634
    f64::from_bits(0x3fc74663c6c0f4c7), // 0.18183562474033563
    f64::from_bits(0x3fc39a1f43130cb5), // 0.1531409337531834
    f64::from_bits(0x3fc2f035b34bf53b), // 0.1479556203338833
];

/// eʳ for |r| ≤ ln 2 / 2, for f32 results. Largest weighted error 2^-29.0.
pub(super) const EXP_NARROW: [f64; 7] = [
    f64::from_bits(0x3ff00000002634ba), // 1.00000000055597
    f64::from_bits(0x3ff0000009c121f3), // 1.0000000363380621
    f64::from_bits(0x3fdfffffaaae545e), // 0.4999999205404658
    f64::from_bits(0x3fc55540a63c1c9b), // 0.16666420094427256
    f64::from_bits(0x3fa55589d2409054), // 0.04166823092990116
    f64::from_bits(0x3f8126d1a8090d7d), // 0.00837482255986432
    f64::from_bits(0x3f56ab7a6d894239), // 0.0013836570343707234
];

/// 2 atanh s / s in s², |s| ≤ 0.1716, for f32 results. Largest weighted error 2^-37.79.
pub(super) const LN_NARROW: [f64; 5] = [
    f64::from_bits(0x4000000000004a28), // 2.0000000000084306
    f64::from_bits(0x3fe555554dabdb76), // 0.66666665239505
    f64::from_bits(0x3fd999a9cafdbca4), // 0.4000038606963676
    f64::from_bits(0x3fd2432b824fa63b), // 0.28534972882934867
    f64::from_bits(0x3fce3b0e43631d94), // 0.23617723741902508
];

/// 2 atanh s / s in s², |s| ≤ 1/3, for f32 results. Largest weighted error 2^-38.53.
pub(super) const LOG1P_NARROW: [f64; 7] = [
    f64::from_bits(0x4000000000002c30), // 2.0000000000050235
    f64::from_bits(0x3fe5555552f9ec2a), // 0.6666666622762751
    f64::from_bits(0x3fd9999c38c60ecd), // 0.40000062507918416
    f64::from_bits(0x3fd248991f7bb5b5), // 0.28568103861365596
    f64::from_bits(0x3fcc8d2ee492e1bb), // 0.2230585685808942
    f64::from_bits(0x3fc5e8cbb8862c09), // 0.17116686353651314
    f64::from_bits(0x3fcc0108a9f92e74), // 0.2187815504024574
];

/// atan z / z in s = z² for z ≤ 1, for f32 results. Largest weighted error 2^-33.98.
pub(super) const ATAN_NARROW: [f64; 12] = [
    f64::from_bits(0x3feffffffff7e233), // 0.9999999999409453
    f64::from_bits(0xbfd55555425638ca), // -0.33333331564143676
    f64::from_bits(0x3fc9999232d4f06f), // 0.19999911767979792
    f64::from_bits(0xbfc24892c7f4d5e0), // -0.14283976329322368
    f64::from_bits(0x3fbc660b17a345c8), // 0.11093205763906788
    f64::from_bits(0xbfb6fd2e481a61a6), // -0.08980073223427229
    f64::from_bits(0x3fb28c3cbfd3d3d8), // 0.07245235141074546
    f64::from_bits(0xbfabc94963b298d0), // -0.05427007047664889
    f64::from_bits(0x3fa1827fb30ec20b), // 0.0341987520290595
    f64::from_bits(0xbf907d752fef11a2), // -0.016103583384180838
    f64::from_bits(0x3f73dafe8db28849), // 0.004847521161680809
    f64::from_bits(0xbf466b3f10caedbd), // -0.0006841714799387593
];

/// sin(πf) / f in f², |f| ≤ 1/2, for f32 results. Largest weighted error 2^-27.48.
pub(super) const SIN_HALF_TURN: [f64; 5] = [
    f64::from_bits(0x400921fb520549c7), // 3.1415926368583516
    f64::from_bits(0xc014abbc161198c9), // -5.167709679435753
    f64::from_bits(0x4004668ae4bdec37), // 2.5500696058711827
    f64::from_bits(0xbfe324cadf8aab78), // -0.5982412687347809
    f64::from_bits(0x3fb3dadfa2d8fc86), // 0.07755849576732218
];

/// sin(πf) / f in f², |f| ≤ 1/2, for lgamma near its zeros. Largest weighted error 2^-54.51.
pub(super) const SIN_HALF_TURN_F64: [f64; 9] = [
    f64::from_bits(0x400921fb54442d18), // 3.141592653589793
    f64::from_bits(0xc014abbce625be39), // -5.167712780049947
    f64::from_bits(0x400466bc67759fca), // 2.5501640398760843
    f64::from_bits(0xbfe32d2cce5e6559), // -0.5992645292891822
    f64::from_bits(0x3fb5078346aa8758), // 0.08214588618514307
    f64::from_bits(0xbf7e307419e04a27), // -0.007370427627409393
    f64::from_bits(0x3f3e8f021440c9c2), // 0.00046628762015923583
    f64::from_bits(0xbef6f04ca2da331f), // -2.1876019835209635e-05
    f64::from_bits(0x3ea8f90aa4acd868), // 7.442479924349802e-07
];

/// erf x / x in s = x² for x ≤ 3/4, for f32 results. Largest weighted error 2^-35.24.
pub(super) const ERF_NARROW: [f64; 7] = [
    f64::from_bits(0x3ff20dd75040b30c), // 1.1283791670677514
    f64::from_bits(0xbfd8127465e636c9), // -0.3761263842687695
    f64::from_bits(0x3fbce2efd908cdfa), // 0.11283778237048372
    f64::from_bits(0xbf9b826e4484c88b), // -0.02686474126057496
    f64::from_bits(0x3f755e174ee04e97), // 0.005216685340218816
    f64::from_bits(0xbf4b60ec71bb8935), // -0.0008355288041140054
    f64::from_bits(0x3f18cd03544ecf10), // 9.460766621210656e-05
];

