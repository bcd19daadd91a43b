//! Forms with a file (`multipart/form-data`), on the routes that take one. The CSRF token must come before the file;
//! without it the file is read and discarded. Not here: the content of the file.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use multer::{Constraints, Field, Multipart, SizeLimit};
use sha2::{Digest as _, Sha256};

use super::extract::{MOST_FIELDS, Tree, in_time, pass_over};
use super::form::form_expired;
use super::problem::Problem;

/// The content type of such a form.
pub const KIND: &str = "multipart/form-data";

/// How much is read and discarded at most, so that a browser that is still sending gets the response that its file is too
/// large.
const PASSED_OVER: usize = 256 << 20;

/// The file of a form; a request extension. Empty if none was chosen.
#[derive(Clone, Debug, Default)]
pub struct Upload {
    /// The sender's name for it.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// A form and its file.
pub struct UploadedForm {
    /// The fields that are not files.
    pub fields: Tree,
    pub file: Upload,
    /// A digest of everything, to recognize the same form when it is sent again.
    pub digest: Vec<u8>,
}

/// Reads a form with a file. `known` checks the CSRF token.
///
/// # Errors
/// 413 over the limit, 403 for an invalid CSRF token, 400 if it is no such form.
pub async fn read(
    request: &mut Request,
    limit: usize,
    known: impl Fn(&str) -> bool,
) -> Result<UploadedForm, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary =
        kind.and_then(|kind| multer::parse_boundary(kind).ok()).ok_or_else(|| broken(&"no boundary"))?;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<usize>().ok());
    let body = std::mem::replace(request.body_mut(), Body::empty());
    if announced.is_some_and(|length| length > limit) {
        pass_over(in_time(body, PASSED_OVER), PASSED_OVER).await;
        return Err(too_large(limit));
    }
    let whole = SizeLimit::new().whole_stream(limit as u64);
    let constraints = Constraints::new().size_limit(whole);
    let body = Box::pin(in_time(body, limit));
    let mut form = Multipart::with_constraints(body, boundary, constraints);
    let mut fields: Vec<(String, String)> = Vec::new();
    let (mut file, mut said) = (Upload::default(), Sha256::new());
    let (mut is_known, mut too_early) = (false, false);
    while let Some(field) = form.next_field().await.map_err(|error| upload_problem(&error, limit))? {
        if fields.len() > MOST_FIELDS {
            return Err(Problem::bad_request("too_many_fields", "This form has too many fields."));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let Some(file_name) = field.file_name().map(str::to_owned) else {
            let text = field.text().await.map_err(|error| upload_problem(&error, limit))?;
            is_known |= name == "csrf" && known(&text);
            fields.push((name, text));
            continue;
        };
        let bytes = bytes(field, is_known).await.map_err(|error| upload_problem(&error, limit))?;
        if !is_known {
            too_early = true;
            continue;
        }
        said.update(format!("{}:{name}\n{}:{file_name}\n{}:", name.len(), file_name.len(), bytes.len()));
        said.update(&bytes);
        if bytes.is_empty() && file_name.is_empty() {
            continue;
        }
        if !file.bytes.is_empty() || !file.name.is_empty() {
            return Err(Problem::bad_request("one_file", "Send one file at a time. Nothing was done."));
        }
        file = Upload { name: file_name, bytes };
    }
    if !is_known || too_early {
        return Err(form_expired());
    }
    let fields = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    said.update(&fields);
    let fields = Tree::from_pairs(fields.as_bytes()).map_err(Problem::field)?;
    Ok(UploadedForm { fields, file, digest: said.finalize().to_vec() })
}

/// Reads the bytes of a part; discards them unless `keep`.
async fn bytes(mut field: Field<'_>, keep: bool) -> multer::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await? {
        if keep {
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok(bytes)
}

fn upload_problem(error: &multer::Error, limit: usize) -> Problem {
    match matches!(error, multer::Error::StreamSizeExceeded { .. }) {
        true => too_large(limit),
        false => broken(error),
    }
}

fn too_large(limit: usize) -> Problem {
    let message = format!(
        "The file is larger than the limit of {} MB, so nothing was stored. Split it into several files, each with the header.",
        limit >> 20
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

fn broken(error: &dyn std::fmt::Display) -> Problem {
    let message =
        format!("The form with the file cannot be read ({error}), so nothing was stored. Send it again.");
    Problem::bad_request("malformed_form", message)
}
