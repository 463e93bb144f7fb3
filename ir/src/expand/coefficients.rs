//! Polynomial coefficients of the expansions, as bits; written by `ir/tools/minimax.py`, never by hand.
//!
//! Each array stands lowest power first, every value exact in the format it is used in. The error beside it is that of
//! the rounded coefficients in exact arithmetic, relative to the function.

/// (eʳ − 1 − r) / r² for |r| ≤ ln 2 / 2. Largest weighted error 2^-28.26.
pub(super) const EXP_F32: [f64; 5] = [
    f64::from_bits(0x3fdfffffc0000000), // 0.4999999403953552
    f64::from_bits(0x3fc5554920000000), // 0.1666652113199234
    f64::from_bits(0x3fa5558aa0000000), // 0.041668254882097244
    f64::from_bits(0x3f812397e0000000), // 0.008368670009076595
    f64::from_bits(0x3f56a53d40000000), // 0.001382169546559453
];

/// (eʳ − 1 − r) / r² for |r| ≤ ln 2 / 2. Largest weighted error 2^-57.89.
pub(super) const EXP_F64: [f64; 10] = [
    f64::from_bits(0x3fe000000000000a), // 0.5000000000000011
    f64::from_bits(0x3fc5555555555501), // 0.16666666666666433
    f64::from_bits(0x3fa55555555506b4), // 0.04166666666652699
    f64::from_bits(0x3f81111111125fe2), // 0.008333333333482022
    f64::from_bits(0x3f56c16c18479532), // 0.001388888894433404
    f64::from_bits(0x3f2a01a013398809), // 0.00019841269532877595
    f64::from_bits(0x3efa0199958438c2), // 2.480149245891943e-05
    f64::from_bits(0x3ec71df110b6302d), // 2.7557563321897235e-06
    f64::from_bits(0x3e928ae0322b8cda), // 2.763045349586317e-07
    f64::from_bits(0x3e5ad9f0895b97f1), // 2.500724657116189e-08
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

/// (tanh x / x − 1) / s in s = x² for x ≤ 0.98. Largest weighted error 2^-28.05.
pub(super) const TANH_F32: [f64; 7] = [
    f64::from_bits(0xbfd5555420000000), // -0.3333330452442169
    f64::from_bits(0x3fc110ce60000000), // 0.13332538306713104
    f64::from_bits(0xbfab97f180000000), // -0.05389361083507538
    f64::from_bits(0x3f960c71c0000000), // 0.0215318463742733
    f64::from_bits(0xbf806d20e0000000), // -0.008020645938813686
    f64::from_bits(0x3f6358b560000000), // 0.0023616354446858168
    f64::from_bits(0xbf38bc65e0000000), // -0.0003774403303395957
];

/// (tanh x / x − 1) / s in s = x² for x ≤ 0.25. Largest weighted error 2^-66.16.
pub(super) const TANH_F64: [f64; 10] = [
    f64::from_bits(0xbfd5555555555555), // -0.3333333333333333
    f64::from_bits(0x3fc1111111110fc6), // 0.13333333333332414
    f64::from_bits(0xbfaba1ba1b9dfa3b), // -0.05396825396654888
    f64::from_bits(0x3f9664f48561abbd), // 0.02186948837372048
    f64::from_bits(0xbf8226e22039cb5c), // -0.008863226517154814
    f64::from_bits(0x3f6d6c97a7cc062e), // 0.0035918199558871078
    f64::from_bits(0xbf57be9c3d5152f3), // -0.001449253633173328
    f64::from_bits(0x3f4087585f98b4d2), // 0.0005044156561716756
    f64::from_bits(0x3f39028e08d90e6a), // 0.00038162200585054615
    f64::from_bits(0xbf5dfc223518caf6), // -0.0018301328713163346
];

/// erf x / x − 1 in s = x² for x ≤ 0.947266. Largest weighted error 2^-30.12.
pub(super) const ERF_F32: [f64; 7] = [
    f64::from_bits(0x3fc06eba80000000), // 0.12837916612625122
    f64::from_bits(0xbfd8127420000000), // -0.37612631916999817
    f64::from_bits(0x3fbce2de00000000), // 0.11283671855926514
    f64::from_bits(0xbf9b80b2c0000000), // -0.0268581323325634
    f64::from_bits(0x3f754a6ac0000000), // 0.005197922699153423
    f64::from_bits(0xbf4a9131c0000000), // -0.0008107655448839068
    f64::from_bits(0x3f158e6dc0000000), // 8.223099575843662e-05
];

/// erf x / x − 1 in s = x² for x ≤ 1.0. Largest weighted error 2^-56.34.
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

/// −ln erfc(t + 0.947266) for t + 0.947266 ≤ 4.0. Largest weighted error 2^-31.1.
pub(super) const ERFC_F32: [f64; 9] = [
    f64::from_bits(0x3ffb678ba0000000), // 1.7127796411514282
    f64::from_bits(0x4004673780000000), // 2.550398826599121
    f64::from_bits(0x3feac37760000000), // 0.8363606333732605
    f64::from_bits(0x3fa66539a0000000), // 0.04374103620648384
    f64::from_bits(0xbf85b19f80000000), // -0.010592695325613022
    f64::from_bits(0x3f61477000000000), // 0.0021092593669891357
    f64::from_bits(0xbf33b299c0000000), // -0.0003005624166689813
    f64::from_bits(0x3ef7dbf200000000), // 2.2753869416192174e-05
    f64::from_bits(0xbe84206480000000), // -1.4995436004028306e-07
];

/// −ln erfc(t + 1.0) for t + 1.0 ≤ 6.0. Largest weighted error 2^-58.74.
pub(super) const ERFC_F64: [f64; 22] = [
    f64::from_bits(0x3ffd97fbf27aa2a1), // 1.8496055099332482
    f64::from_bits(0x40051c9b0006c241), // 2.638967514234793
    f64::from_bits(0x3feafabc11a28c58), // 0.8431072563584037
    f64::from_bits(0x3fa5477f09ce64fc), // 0.04156109804825722
    f64::from_bits(0xbf848c9d4176b406), // -0.01003382545499144
    f64::from_bits(0x3f6033f6aeac409b), // 0.0019779031766874017
    f64::from_bits(0xbf2f1b5283180e70), // -0.0002373254988442433
    f64::from_bits(0xbefb8b21e68c20ca), // -2.6267515212758515e-05
    f64::from_bits(0x3efc739999a39f53), // 2.7133524420102608e-05
    f64::from_bits(0xbee40daa8303f8c7), // -9.562198187481806e-06
    f64::from_bits(0x3ec0bd71f3df1885), // 1.995565894727263e-06
    f64::from_bits(0xbe7444486dd240ff), // -7.549945331615332e-08
    f64::from_bits(0xbe8465aa91f95932), // -1.5197049040250533e-07
    f64::from_bits(0x3e77171ab910cb6f), // 8.60178899365858e-08
    f64::from_bits(0xbe60cf61cb5b389e), // -3.13112250967343e-08
    f64::from_bits(0x3e433b1da209271b), // 8.955095388445215e-09
    f64::from_bits(0xbe21f858152d245d), // -2.0919942804199517e-09
    f64::from_bits(0x3dfb13bd3e5bbf68), // 3.9402375664187217e-10
    f64::from_bits(0xbdcf7abc5b000c94), // -5.726076156202519e-11
    f64::from_bits(0x3d9a3ac855935d2f), // 5.963924959023225e-12
    f64::from_bits(0xbd5b99025bbff419), // -3.921867948448246e-13
    f64::from_bits(0x3d0b52c1b17c5e87), // 1.2133968507862818e-14
];

/// sin(f π/2) / f in f², |f| ≤ 1/2, for f32 results. Largest weighted error 2^-37.67.
pub(super) const SIN_QUARTER: [f64; 5] = [
    f64::from_bits(0x3ff921fb5443af1d), // 1.5707963267877354
    f64::from_bits(0xbfe4abbce5647ceb), // -0.6459640961001275
    f64::from_bits(0x3fb466bba88441a9), // 0.0796925817887827
    f64::from_bits(0xbf732ca83958c19b), // -0.0046812602281963945
    f64::from_bits(0x3f24bc1d91483098), // 0.00015819416934482046
];

/// cos(f π/2) in f², |f| ≤ 1/2, for f32 results. Largest weighted error 2^-43.79.
pub(super) const COS_QUARTER: [f64; 6] = [
    f64::from_bits(0x3feffffffffffdaf), // 0.9999999999999342
    f64::from_bits(0xbff3bd3cc9bd08d8), // -1.233700550118149
    f64::from_bits(0x3fd03c1f073c7120), // 0.2536695070900965
    f64::from_bits(0xbf955d3b96da2d06), // -0.02086346729497015
    f64::from_bits(0x3f4e1e75e3cd230e), // 0.0009191585191753186
    f64::from_bits(0xbefa0d8086d8c82a), // -2.4845831310745113e-05
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

/// Exponents of x from which the rows but the first of [`TWO_OVER_PI_F32`] hold.
pub(super) const TWO_OVER_PI_F32_FROM: [u64; 3] = [51, 77, 103];

/// Windows of the digits of 2/π for f32: words of 29, 29 and 53.
pub(super) const TWO_OVER_PI_F32: [[f64; 3]; 4] = [
    [f64::from_bits(0x3fe45f306d000000), f64::from_bits(0x3e19391054000000), f64::from_bits(0x3c44fe13abe8fa9a)],
    [f64::from_bits(0x3e4727220a000000), f64::from_bits(0x3c729fc275000000), f64::from_bits(0x3a9f47d4d377036c)],
    [f64::from_bits(0x3c94a7f09c000000), f64::from_bits(0x3ad5f47d4d000000), f64::from_bits(0x38ebb81b6c52b324)],
    [f64::from_bits(0x3b0abe8fa9000000), f64::from_bits(0x3934ddc0db000000), f64::from_bits(0x3758a5664f10e410)],
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

