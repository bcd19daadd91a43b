//! Mail contents: a template and a notice's variables become a subject and marked-up text, which becomes the plain-text
//! and HTML parts.
//!
//! Pure: no database, no sending, no clock. Not here: recipients (`ops::notices`), variables' values
//! (`ops::notices::facts`), and SMTP (`work::mailer`).

mod built_in;
mod language;
mod markup;
pub mod partner_text;
mod template;
mod variables;

pub use language::Language;
pub use markup::Parts;
pub use template::{Broken, Rendered, Template};
pub use variables::{Variable, sample, variables};
