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

use super::{BLOCK, GROUP, Leaves, Node};

static THERE: LazyLock<bool> = LazyLock::new(|| std::arch::is_x86_feature_detected!("avx2"));

/// Whether this processor has AVX2.
pub(super) fn is_there() -> bool {
    *THERE
}

/// The leaf of each row of a group, which begins at row `first` of the block. `nodes` are
/// those of a complete tree of this depth, and `bytes` are `[columns, BLOCK]`.
pub(super) fn choose(depth: usize, nodes: &[Node], bytes: &[i8], first: usize) -> Leaves {
    assert!(is_there() && nodes.len() + 1 == 1 << depth && first + GROUP <= BLOCK);
    // SAFETY: AVX2 is there, which was just asserted.
    unsafe { tree(depth, nodes, &bytes[first..]) }
}

#[target_feature(enable = "avx2")]
fn tree(depth: usize, nodes: &[Node], bytes: &[i8]) -> Leaves {
    let [low, high] = match depth {
        1 => depth1(nodes, bytes, 0, 0),
        2 => depth2(nodes, bytes, 0, 0),
        3 => depth3(nodes, bytes, 0, 0),
        4 => depth4(nodes, bytes, 0, 0),
        5 => depth5(nodes, bytes, 0, 0),
        6 => depth6(nodes, bytes, 0, 0),
        7 => depth7(nodes, bytes, 0, 0),
        8 => depth8(nodes, bytes, 0, 0),
        _ => unreachable!("deeper trees are not taken"),
    };
    let mut leaves = [0; GROUP];
    let (first, second) = leaves.split_at_mut(GROUP / 2);
    // SAFETY: each half has the 32 bytes of a register, which need not be aligned.
    unsafe {
        _mm256_storeu_si256(first.as_mut_ptr().cast(), low);
        _mm256_storeu_si256(second.as_mut_ptr().cast(), high);
    }
    leaves
}

/// All bits of the bytes of the rows that go right at a node.
#[target_feature(enable = "avx2")]
#[inline]
fn right(node: Node, bytes: &[i8]) -> [__m256i; 2] {
    let begin = usize::from(node.column) * BLOCK;
    let own: &[i8; GROUP] = bytes[begin..]
        .first_chunk()
        .expect("each column has a byte for each row of a block");
    let (first, second) = own.split_at(GROUP / 2);
    // SAFETY: each half has the 32 bytes of a register, which need not be aligned.
    let [low, high] = unsafe {
        [
            _mm256_loadu_si256(first.as_ptr().cast()),
            _mm256_loadu_si256(second.as_ptr().cast()),
        ]
    };
    let than = _mm256_set1_epi8(node.byte);
    [_mm256_cmpgt_epi8(low, than), _mm256_cmpgt_epi8(high, than)]
}

/// The leaves below node `at`, whose children are leaves: `leaf` and the next one.
#[target_feature(enable = "avx2")]
#[inline]
fn depth1(nodes: &[Node], bytes: &[i8], at: usize, leaf: usize) -> [__m256i; 2] {
    let [low, high] = right(nodes[at], bytes);
    let left = _mm256_set1_epi8(leaf as u8 as i8);
    // All bits are -1.
    [_mm256_sub_epi8(left, low), _mm256_sub_epi8(left, high)]
}

/// The leaves below a node of some depth, from those below its children.
macro_rules! deeper {
    ($($name:ident: $depth:literal of $child:ident;)*) => {$(
        #[target_feature(enable = "avx2")]
        #[inline]
        fn $name(nodes: &[Node], bytes: &[i8], at: usize, leaf: usize) -> [__m256i; 2] {
            let left = $child(nodes, bytes, 2 * at + 1, leaf);
            let right_leaf = leaf + (1 << ($depth - 1));
            let other = $child(nodes, bytes, 2 * at + 2, right_leaf);
            let goes = right(nodes[at], bytes);
            [
                _mm256_blendv_epi8(left[0], other[0], goes[0]),
                _mm256_blendv_epi8(left[1], other[1], goes[1]),
            ]
        }
    )*};
}

deeper! {
    depth2: 2 of depth1;
    depth3: 3 of depth2;
    depth4: 4 of depth3;
    depth5: 5 of depth4;
    depth6: 6 of depth5;
    depth7: 7 of depth6;
    depth8: 8 of depth7;
}
