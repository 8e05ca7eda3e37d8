//! The signature of a webhook: HMAC-SHA256 (RFC 2104) over a moment and the body.

use sha2::{Digest, Sha256};

/// Bytes that SHA-256 takes at a time.
const BLOCK_BYTES: usize = 64;

/// The value of the header `Sluice-Signature`, in Stripe's form: `t=<seconds since 1970 UTC>,
/// v1=<hexadecimal HMAC-SHA256 of "<t>.<body>">`. Who receives it compares in constant time,
/// and refuses moments that are long past.
pub fn sign(secret: &[u8], seconds: i64, body: &[u8]) -> String {
    let moment = seconds.to_string();
    let code = hmac_sha256(secret, &[moment.as_bytes(), b".", body]);
    format!("t={moment},v1={}", hex(&code))
}

fn hmac_sha256(key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| Sha256::new().chain_update(block.map(|byte| byte ^ pad));
    let inner = message
        .iter()
        .fold(padded(0x36), |hash, part| hash.chain_update(part));
    padded(0x5c)
        .chain_update(inner.finalize())
        .finalize()
        .into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases 1, 2, 6 and 7 of RFC 4231.
    #[test]
    fn is_that_of_the_standard() {
        let of = |key: &[u8], message: &[u8]| hex(&hmac_sha256(key, &[message]));
        assert_eq!(
            of(&[0x0b; 20], b"Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            of(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            of(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            ),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
        let long = b"This is a test using a larger than block-size key and a larger than block-size data. \
            The key needs to be hashed before being used by the HMAC algorithm.";
        assert_eq!(
            of(&[0xaa; 131], long),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        );
    }

    #[test]
    fn covers_moment_and_body() {
        let signed = sign(b"key", 1_700_000_000, b"{}");
        assert!(signed.starts_with("t=1700000000,v1="), "{signed}");
        assert_eq!(signed.len(), "t=1700000000,v1=".len() + 64);
        assert_ne!(signed[16..], sign(b"key", 1_700_000_001, b"{}")[16..]);
        assert_ne!(signed, sign(b"key", 1_700_000_000, b"{ }"));
        assert_ne!(signed, sign(b"yek", 1_700_000_000, b"{}"));
    }
}
