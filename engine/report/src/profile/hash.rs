//! 64-bit hashes of values, the same on every machine and in every release, whatever the
//! order of rows and batches. Not cryptographic.

/// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", 2014): each input bit moves every output bit.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The hash of bytes: eight at a time, then their number.
pub(crate) fn of_bytes(bytes: &[u8]) -> u64 {
    let mut hash = 0x5eed;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    let mut word = [0; 8];
    let rest = chunks.remainder();
    word[..rest.len()].copy_from_slice(rest);
    hash = mix(hash ^ u64::from_le_bytes(word));
    mix(hash ^ bytes.len() as u64)
}

/// The hash of a float: both zeros are one, and all NaN are.
pub(crate) fn of_float(value: f64) -> u64 {
    let canonical = if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    };
    mix(canonical.to_bits())
}

/// The hash of a whole number.
pub(crate) fn of_whole(value: i128) -> u64 {
    let bits = value as u128;
    mix(mix(bits as u64) ^ (bits >> 64) as u64)
}

/// Where a hash lies in `(0, 1]`.
pub(crate) fn unit(hash: u64) -> f64 {
    (hash as f64 + 1.0) / (u64::MAX as f64 + 1.0)
}
