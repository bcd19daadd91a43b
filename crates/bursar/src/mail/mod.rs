//! What a mail says: a template with a notice's variables becomes a subject and a text in a small markup, and that
//! becomes the two parts of a mail, plain text and HTML.
//!
//! Pure: nothing here reads the database, sends, or knows the time. What is deliberately not here: who is written to
//! (`ops::notices`), where the facts come from (`ops::notices::facts`), and SMTP (`work::mailer`).

mod built_in;
mod language;
mod markup;
mod template;
pub mod told;
mod variables;

pub use language::Language;
pub use markup::Parts;
pub use template::{Broken, Rendered, Template};
pub use variables::{Variable, sample, variables};
