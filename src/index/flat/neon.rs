//! The loops for NEON, which every 64-bit ARM has.

use std::arch::aarch64::*;

use super::kernels::{BLOCK_ROWS, Kernels, TABLE};

/// Every 64-bit ARM has it, so nothing needs to be found out.
pub(super) struct Neon;

impl Kernels for Neon {
    fn name(&self) -> &'static str {
        "neon"
    }

    fn scan(&self, blocks: &[u8], block_bytes: usize, tables: &[u8], threshold: u16, masks: &mut [u32]) {
        scan(blocks, block_bytes, tables, threshold, masks);
    }

    fn dot_codes(&self, codes: &[i8], rows: &[u32], query: &[i16], out: &mut [i32]) {
        dot_codes(codes, rows, query, out);
    }
}

fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: 16 bytes are there, and the load asks for no alignment. NEON is part of the architecture.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

fn scan(blocks: &[u8], block_bytes: usize, tables: &[u8], threshold: u16, masks: &mut [u32]) {
    let (tables, _) = tables.as_chunks::<TABLE>();
    let (pairs, _) = tables.as_chunks::<2>();
    for (block, mask) in blocks.chunks_exact(block_bytes).zip(masks) {
        let (runs, _) = block.as_chunks::<BLOCK_ROWS>();
        *mask = 0;
        for half in 0..2 {
            // SAFETY: NEON is part of the architecture; loads are of whole arrays.
            unsafe {
                let (mut first, mut last) = (vdupq_n_u16(0), vdupq_n_u16(0));
                for (run, pair) in runs.iter().zip(pairs) {
                    let (halves, _) = run.as_chunks::<16>();
                    let codes = load(&halves[half]);
                    let low = vqtbl1q_u8(load(&pair[0]), vandq_u8(codes, vdupq_n_u8(15)));
                    let high = vqtbl1q_u8(load(&pair[1]), vshrq_n_u8::<4>(codes));
                    let sum = vaddq_u8(low, high);
                    first = vaddw_u8(first, vget_low_u8(sum));
                    last = vaddw_high_u8(last, sum);
                }
                let mut sums = [0u16; 16];
                vst1q_u16(sums.as_mut_ptr(), first);
                vst1q_u16(sums.as_mut_ptr().add(8), last);
                for (row, sum) in sums.iter().enumerate() {
                    *mask |= u32::from(*sum >= threshold) << (half * 16 + row);
                }
            }
        }
    }
}

fn dot_codes(codes: &[i8], rows: &[u32], query: &[i16], out: &mut [i32]) {
    let width = query.len();
    let (query_blocks, query_rest) = query.as_chunks::<8>();
    for (row, out) in rows.iter().zip(out) {
        let codes = &codes[*row as usize * width..(*row as usize + 1) * width];
        let (blocks, rest) = codes.as_chunks::<8>();
        // SAFETY: NEON is part of the architecture; loads are of whole arrays.
        let sums = unsafe {
            let mut sums = vdupq_n_s32(0);
            for (codes, query) in blocks.iter().zip(query_blocks) {
                let (codes, query) = (vmovl_s8(vld1_s8(codes.as_ptr())), vld1q_s16(query.as_ptr()));
                sums = vmlal_s16(sums, vget_low_s16(codes), vget_low_s16(query));
                sums = vmlal_high_s16(sums, codes, query);
            }
            vaddvq_s32(sums)
        };
        *out = sums + rest.iter().zip(query_rest).map(|(c, q)| i32::from(*c) * i32::from(*q)).sum::<i32>();
    }
}
