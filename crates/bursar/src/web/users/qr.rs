//! A text as a picture that telephones read, drawn into the page itself: nothing is asked of another host.

use qrcodegen::{QrCode, QrCodeEcc};

/// The light space around it that readers need, in dots.
const AROUND: i32 = 4;

/// The picture, as a page draws it.
pub struct Qr {
    /// Its width and height in dots.
    pub size: i32,
    /// The dark dots, as the path of an SVG.
    pub path: String,
}

impl Qr {
    /// The picture of a text; nothing when it is too long for one.
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
