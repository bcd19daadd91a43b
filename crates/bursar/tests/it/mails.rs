//! Mails: their content in each language, their recipients, and their delivery.

mod sent;
mod words;
