//! QR codes, drawn inline as SVG, so that no other host is contacted.

use qrcodegen::{QrCode, QrCodeEcc};

/// The quiet zone that readers need, in modules.
const AROUND: i32 = 4;

/// A QR code, for drawing.
pub struct Qr {
    /// Its width and height in modules.
    pub size: i32,
    /// The dark modules, as an SVG path.
    pub path: String,
}

impl Qr {
    /// The QR code of a text; `None` if it is too long.
    pub fn of(text: &str) -> Option<Self> {
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
        let mut path = String::new();
        for y in 0..code.size() {
            for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
                path.push_str(&format!("M{} {}h1v1h-1z", x + AROUND, y + AROUND));
            }
        }
        Some(Self { size: code.size() + 2 * AROUND, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_holds_its_corners_and_is_not_drawn_of_what_is_too_long() {
        let qr = Qr::of("otpauth://totp/Bursar").unwrap();
        assert!(qr.path.starts_with("M4 4h1v1h-1zM5 4"), "{}", qr.path);
        assert_eq!((qr.size - 2 * AROUND - 17) % 4, 0, "a size that the standard knows");
        assert!(Qr::of(&"x".repeat(4_000)).is_none());
    }
}
