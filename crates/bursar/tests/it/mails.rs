//! Mails: what each says in each language, to whom it goes, and how it gets there.

mod sent;
mod words;
