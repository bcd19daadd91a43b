//! Mails: their content in each language, their recipients, and their delivery.

mod links;
mod sent;
mod words;
