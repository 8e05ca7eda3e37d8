//! The comparisons of a tree's nodes with 64 rows at a time, by AVX2.
#![expect(
    unsafe_code,
    reason = "functions that use AVX2 may only be called where it is, and its loads take pointers"
)]

use std::arch::x86_64::{
    __m256i, _mm256_blendv_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_set1_epi8,
    _mm256_storeu_si256, _mm256_sub_epi8,
};
use std::sync::LazyLock;

use super::{BLOCK, GROUP, Node};

static THERE: LazyLock<bool> = LazyLock::new(|| std::arch::is_x86_feature_detected!("avx2"));

/// Whether this processor has AVX2.
pub(super) fn is_there() -> bool {
    *THERE
}

/// `work`, compiled for AVX2 as far as it is inlined.
///
/// # Panics
///
/// Where there is no AVX2.
pub(super) fn with<T>(work: impl FnOnce() -> T) -> T {
    #[target_feature(enable = "avx2")]
    fn inside<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    assert!(is_there());
    // SAFETY: AVX2 is there, which was just asserted.
    unsafe { inside(work) }
}

/// Adds a tree's leaves to the sums of the rows of a group, which begins at row `first` of the
/// block. `nodes` and `leaves` are those of a complete tree of this depth, and `bytes` are
/// `[columns, BLOCK]`.
///
/// # Panics
///
/// Where there is no AVX2, and on anything else than that.
pub(super) fn add(
    depth: usize,
    nodes: &[Node],
    leaves: &[f32],
    bytes: &[i8],
    first: usize,
    sums: &mut [f32; GROUP],
) {
    assert!(is_there() && first + GROUP <= BLOCK);
    let bytes = &bytes[first..];
    // SAFETY: AVX2 is there, which was just asserted.
    unsafe {
        match depth {
            1 => tree1(nodes, leaves, bytes, sums),
            2 => tree2(nodes, leaves, bytes, sums),
            3 => tree3(nodes, leaves, bytes, sums),
            4 => tree4(nodes, leaves, bytes, sums),
            5 => tree5(nodes, leaves, bytes, sums),
            6 => tree6(nodes, leaves, bytes, sums),
            7 => tree7(nodes, leaves, bytes, sums),
            8 => tree8(nodes, leaves, bytes, sums),
            _ => unreachable!("deeper trees are not taken"),
        }
    }
}

/// A tree of each depth: its nodes, all of them, choose the number of each row's leaf.
macro_rules! trees {
    ($($name:ident: $depth:literal by $choose:ident;)*) => {$(
        #[target_feature(enable = "avx2")]
        fn $name(nodes: &[Node], leaves: &[f32], bytes: &[i8], sums: &mut [f32; GROUP]) {
            const LEAVES: usize = 1 << $depth;
            let nodes: &[Node; LEAVES - 1] = nodes.try_into().expect("a complete tree's nodes");
            let leaves: &[f32; LEAVES] = leaves.try_into().expect("a complete tree's leaves");
            // SAFETY: this function is only called where AVX2 is.
            let chosen = numbers(unsafe { $choose(nodes, bytes, 0, 0) });
            for (sum, leaf) in sums.iter_mut().zip(chosen) {
                *sum += leaves[usize::from(leaf) % LEAVES];
            }
        }
    )*};
}

trees! {
    tree1: 1 by below1;
    tree2: 2 by below2;
    tree3: 3 by below3;
    tree4: 4 by below4;
    tree5: 5 by below5;
    tree6: 6 by below6;
    tree7: 7 by below7;
    tree8: 8 by below8;
}

/// The bytes of two registers.
#[target_feature(enable = "avx2")]
#[inline]
fn numbers([low, high]: [__m256i; 2]) -> [u8; GROUP] {
    let mut bytes = [0; GROUP];
    let (first, second) = bytes.split_at_mut(GROUP / 2);
    // SAFETY: each half has the 32 bytes of a register, which need not be aligned.
    unsafe {
        _mm256_storeu_si256(first.as_mut_ptr().cast(), low);
        _mm256_storeu_si256(second.as_mut_ptr().cast(), high);
    }
    bytes
}

/// All bits of the bytes of the rows that go right at a node.
///
/// # Safety
///
/// AVX2 must be there.
#[inline(always)]
unsafe fn right(node: Node, bytes: &[i8]) -> [__m256i; 2] {
    let begin = usize::from(node.column) * BLOCK;
    let own: &[i8; GROUP] = bytes[begin..]
        .first_chunk()
        .expect("each column has a byte for each row of a block");
    let (first, second) = own.split_at(GROUP / 2);
    // SAFETY: AVX2 is there, and each half has the 32 bytes of a register, which need not be
    // aligned.
    unsafe {
        let low = _mm256_loadu_si256(first.as_ptr().cast());
        let high = _mm256_loadu_si256(second.as_ptr().cast());
        let than = _mm256_set1_epi8(node.byte);
        [_mm256_cmpgt_epi8(low, than), _mm256_cmpgt_epi8(high, than)]
    }
}

/// The leaves below node `at`, whose children are leaves: `leaf` and the next one.
///
/// # Safety
///
/// AVX2 must be there.
#[inline(always)]
unsafe fn below1<const N: usize>(
    nodes: &[Node; N],
    bytes: &[i8],
    at: usize,
    leaf: usize,
) -> [__m256i; 2] {
    // SAFETY: AVX2 is there.
    unsafe {
        let [low, high] = right(nodes[at], bytes);
        let left = _mm256_set1_epi8(leaf as u8 as i8);
        // All bits are -1.
        [_mm256_sub_epi8(left, low), _mm256_sub_epi8(left, high)]
    }
}

/// The leaves below a node, from those below its children.
///
/// # Safety
///
/// AVX2 must be there.
macro_rules! deeper {
    ($($name:ident: $depth:literal of $child:ident;)*) => {$(
        #[inline(always)]
        unsafe fn $name<const N: usize>(
            nodes: &[Node; N],
            bytes: &[i8],
            at: usize,
            leaf: usize,
        ) -> [__m256i; 2] {
            // SAFETY: AVX2 is there.
            unsafe {
                let left = $child(nodes, bytes, 2 * at + 1, leaf);
                let other = $child(nodes, bytes, 2 * at + 2, leaf + (1 << ($depth - 1)));
                let goes = right(nodes[at], bytes);
                [
                    _mm256_blendv_epi8(left[0], other[0], goes[0]),
                    _mm256_blendv_epi8(left[1], other[1], goes[1]),
                ]
            }
        }
    )*};
}

deeper! {
    below2: 2 of below1;
    below3: 3 of below2;
    below4: 4 of below3;
    below5: 5 of below4;
    below6: 6 of below5;
    below7: 7 of below6;
    below8: 8 of below7;
}
