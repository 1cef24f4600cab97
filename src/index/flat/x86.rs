//! The loops for AVX2 and AVX-512 (BW, VNNI).

use std::arch::x86_64::*;

use super::agenda::CellTable;
use super::kernels::{self, BLOCK_ROWS, Kernels, Loops, TABLE};

/// What this machine has of them, fastest last.
pub(super) fn available() -> Vec<Loops> {
    let mut all: Vec<Loops> = Vec::new();
    if is_x86_feature_detected!("avx2") {
        all.push(&Avx2);
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
        {
            all.push(&Avx512);
        }
    }
    all
}

/// Bytes of a line of the caches.
const LINE: usize = 64;

/// Handed out by [`available`] only.
struct Avx2;

/// Handed out by [`available`] only.
struct Avx512;

impl Kernels for Avx2 {
    fn name(&self) -> &'static str {
        "avx2"
    }

    fn scan(&self, blocks: &[u8], block_bytes: usize, tables: &[u8], threshold: u16, masks: &mut [u32]) {
        // SAFETY: `available` has found AVX2.
        unsafe { scan_avx2(blocks, block_bytes, tables, threshold, masks) }
    }

    fn dot_codes(&self, codes: &[i8], rows: &[u32], query: &[i16], out: &mut [i32]) {
        // SAFETY: `available` has found AVX2.
        unsafe { dot_codes_avx2(codes, rows, query, out) }
    }

    fn dot_rows(&self, matrix: &[f32], query: &[f32], out: &mut [f32]) {
        // SAFETY: `available` has found AVX2.
        unsafe { dot_rows_avx2(matrix, query, out) }
    }

    fn entries(&self, x: &[f32], y: &[f32], query: &[f32], out: &mut [f32]) {
        // SAFETY: `available` has found AVX2.
        unsafe { entries_avx2(x, y, query, out) }
    }

    fn fetch(&self, from: *const u8, bytes: usize) {
        for at in (0..bytes).step_by(LINE) {
            // SAFETY: a hint reads nothing and faults at no address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(at).cast()) };
        }
    }

    fn steps(&self, cells: &CellTable, means: &[f32], bar: f32, inverse_spread: f32, out: &mut [u8]) {
        // SAFETY: `available` has found AVX2.
        unsafe { steps_avx2(cells, means, bar, inverse_spread, out) }
    }
}

impl Kernels for Avx512 {
    fn name(&self) -> &'static str {
        "avx512"
    }

    fn scan(&self, blocks: &[u8], block_bytes: usize, tables: &[u8], threshold: u16, masks: &mut [u32]) {
        // SAFETY: `available` has found AVX2 and AVX-512 F, BW and VNNI.
        unsafe { scan_avx512(blocks, block_bytes, tables, threshold, masks) }
    }

    fn dot_codes(&self, codes: &[i8], rows: &[u32], query: &[i16], out: &mut [i32]) {
        // SAFETY: `available` has found AVX2 and AVX-512 F, BW and VNNI.
        unsafe { dot_codes_avx512(codes, rows, query, out) }
    }

    fn dot_rows(&self, matrix: &[f32], query: &[f32], out: &mut [f32]) {
        Avx2.dot_rows(matrix, query, out);
    }

    fn entries(&self, x: &[f32], y: &[f32], query: &[f32], out: &mut [f32]) {
        Avx2.entries(x, y, query, out);
    }

    fn fetch(&self, from: *const u8, bytes: usize) {
        Avx2.fetch(from, bytes);
    }

    fn steps(&self, cells: &CellTable, means: &[f32], bar: f32, inverse_spread: f32, out: &mut [u8]) {
        Avx2.steps(cells, means, bar, inverse_spread, out);
    }
}

#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are there, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// A table in both halves of a register.
#[target_feature(enable = "avx2")]
fn table(entries: &[u8; TABLE]) -> __m256i {
    // SAFETY: 16 bytes are there, and the load asks for no alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(entries.as_ptr().cast()) })
}

#[target_feature(enable = "avx2")]
fn scan_avx2(blocks: &[u8], block_bytes: usize, tables: &[u8], threshold: u16, masks: &mut [u32]) {
    let (tables, _) = tables.as_chunks::<TABLE>();
    let (pairs, _) = tables.as_chunks::<2>();
    let (low, odd) = (_mm256_set1_epi8(15), _mm256_set1_epi16(0xff00u16 as i16));
    let threshold = _mm256_set1_epi16(threshold as i16);
    for (block, mask) in blocks.chunks_exact(block_bytes).zip(masks) {
        let (runs, _) = block.as_chunks::<BLOCK_ROWS>();
        // Sums of 16 bits: of the odd rows, and of both (which wraps; the odd rows' part is taken off at the end).
        let (mut both, mut odds) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for (run, pair) in runs.iter().zip(pairs) {
            let codes = load(run);
            let first = _mm256_shuffle_epi8(table(&pair[0]), _mm256_and_si256(codes, low));
            let second = _mm256_shuffle_epi8(table(&pair[1]), _mm256_and_si256(_mm256_srli_epi16::<4>(codes), low));
            let sum = _mm256_add_epi8(first, second);
            both = _mm256_add_epi16(both, sum);
            odds = _mm256_add_epi16(odds, _mm256_srli_epi16::<8>(sum));
        }
        let evens = _mm256_sub_epi16(both, _mm256_slli_epi16::<8>(odds));
        let even = _mm256_cmpeq_epi16(_mm256_max_epu16(evens, threshold), evens);
        let odds = _mm256_cmpeq_epi16(_mm256_max_epu16(odds, threshold), odds);
        *mask = _mm256_movemask_epi8(_mm256_blendv_epi8(even, odds, odd)) as u32;
    }
}

/// Codes widened to 16 bits at a time; what is left of a row after whole registers is added one by one.
#[target_feature(enable = "avx2")]
fn dot_codes_avx2(codes: &[i8], rows: &[u32], query: &[i16], out: &mut [i32]) {
    let width = query.len();
    let (query_blocks, query_rest) = query.as_chunks::<16>();
    for (row, out) in rows.iter().zip(out) {
        let codes = &codes[*row as usize * width..(*row as usize + 1) * width];
        let (blocks, rest) = codes.as_chunks::<16>();
        let mut sums = _mm256_setzero_si256();
        for (codes, query) in blocks.iter().zip(query_blocks) {
            // SAFETY: 16 bytes and 32 bytes are there, and the loads ask for no alignment.
            let (codes, query) = unsafe {
                (_mm_loadu_si128(codes.as_ptr().cast()), _mm256_loadu_si256(query.as_ptr().cast::<__m256i>()))
            };
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_cvtepi8_epi16(codes), query));
        }
        let rest: i32 = rest.iter().zip(query_rest).map(|(c, q)| i32::from(*c) * i32::from(*q)).sum();
        *out = add_up(sums) + rest;
    }
}

/// The sum of eight numbers.
#[target_feature(enable = "avx2")]
fn add_up(sums: __m256i) -> i32 {
    let halves = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let pairs = _mm_add_epi32(halves, _mm_shuffle_epi32::<0b01_00_11_10>(halves));
    _mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32::<0b10_11_00_01>(pairs)))
}

#[target_feature(enable = "avx2")]
fn dot_rows_avx2(matrix: &[f32], query: &[f32], out: &mut [f32]) {
    kernels::dot_rows(matrix, query, out);
}

#[target_feature(enable = "avx2")]
fn entries_avx2(x: &[f32], y: &[f32], query: &[f32], out: &mut [f32]) {
    kernels::entries(x, y, query, out);
}

#[target_feature(enable = "avx2")]
fn steps_avx2(cells: &CellTable, means: &[f32], bar: f32, inverse_spread: f32, out: &mut [u8]) {
    kernels::steps(cells, means, bar, inverse_spread, out);
}

/// Two runs at a time: each half of a register has one run and its own tables.
#[target_feature(enable = "avx512f,avx512bw,avx2")]
fn scan_avx512(blocks: &[u8], block_bytes: usize, tables: &[u8], threshold: u16, masks: &mut [u32]) {
    let (all, _) = tables.as_chunks::<TABLE>();
    let (pairs, _) = all.as_chunks::<2>();
    let low = _mm512_set1_epi8(15);
    for (block, mask) in blocks.chunks_exact(block_bytes).zip(masks) {
        let (runs, _) = block.as_chunks::<BLOCK_ROWS>();
        let (runs, last) = runs[..pairs.len()].as_chunks::<2>();
        let (twos, last_pair) = pairs.as_chunks::<2>();
        let (mut both, mut odds) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        let mut add = |codes: __m512i, first: __m512i, second: __m512i| {
            let first = _mm512_shuffle_epi8(first, _mm512_and_si512(codes, low));
            let second = _mm512_shuffle_epi8(second, _mm512_and_si512(_mm512_srli_epi16::<4>(codes), low));
            let sum = _mm512_add_epi8(first, second);
            both = _mm512_add_epi16(both, sum);
            odds = _mm512_add_epi16(odds, _mm512_srli_epi16::<8>(sum));
        };
        let join = |a: __m256i, b: __m256i| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b);
        let none = _mm256_setzero_si256();
        for (runs, pairs) in runs.iter().zip(twos) {
            let codes = join(load(&runs[0]), load(&runs[1]));
            add(codes, join(table(&pairs[0][0]), table(&pairs[1][0])), join(table(&pairs[0][1]), table(&pairs[1][1])));
        }
        if let ([run], [pair]) = (last, last_pair) {
            add(join(load(run), none), join(table(&pair[0]), none), join(table(&pair[1]), none));
        }
        let fold = |sums: __m512i| _mm256_add_epi16(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
        let (both, odds) = (fold(both), fold(odds));
        let evens = _mm256_sub_epi16(both, _mm256_slli_epi16::<8>(odds));
        let least = _mm256_set1_epi16(threshold as i16);
        let even = _mm256_cmpeq_epi16(_mm256_max_epu16(evens, least), evens);
        let odd = _mm256_cmpeq_epi16(_mm256_max_epu16(odds, least), odds);
        let odd_bytes = _mm256_set1_epi16(0xff00u16 as i16);
        *mask = _mm256_movemask_epi8(_mm256_blendv_epi8(even, odd, odd_bytes)) as u32;
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn dot_codes_avx512(codes: &[i8], rows: &[u32], query: &[i16], out: &mut [i32]) {
    let width = query.len();
    let (query_blocks, query_rest) = query.as_chunks::<32>();
    for (row, out) in rows.iter().zip(out) {
        let codes = &codes[*row as usize * width..(*row as usize + 1) * width];
        let (blocks, rest) = codes.as_chunks::<32>();
        let mut sums = _mm512_setzero_si512();
        for (codes, query) in blocks.iter().zip(query_blocks) {
            // SAFETY: 32 bytes and 64 bytes are there, and the loads ask for no alignment.
            let (codes, query) =
                unsafe { (_mm256_loadu_si256(codes.as_ptr().cast()), _mm512_loadu_si512(query.as_ptr().cast())) };
            sums = _mm512_dpwssd_epi32(sums, _mm512_cvtepi8_epi16(codes), query);
        }
        let rest: i32 = rest.iter().zip(query_rest).map(|(c, q)| i32::from(*c) * i32::from(*q)).sum();
        *out = _mm512_reduce_add_epi32(sums) + rest;
    }
}
