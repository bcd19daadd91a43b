//! Codes about the request itself: authentication, transport, content, files and idempotency. Not here: codes about the
//! operation (`doing`).

use super::{CodeGroup, Row};

pub(super) const AMOUNTS: &str = "about-amounts";
pub(super) const FILES: &str = "about-files";

pub(super) const AREAS: &[CodeGroup] = &[
    CodeGroup {
        id: "about-asking",
        title: "Who asks, and whether Bursar can do it now",
        lead: "Nothing was done, unless the code says otherwise.",
        rows: rows! {
            unauthenticated
                "The request has no valid API key: it is missing, mistyped or revoked.",
                "",
                "Send the key as Authorization: Bearer brs_…. An administrator creates keys under People and keys, or with bursar api-key create on the command line.";
            api_key_ended
                "The API key has expired; the detail says when.",
                "",
                "Ask an administrator for another key. Earlier requests stay done and continue.";
            api_key_maker_gone
                "The API key ended because the person who made it lost their access or is no longer an administrator.",
                "",
                "Ask another administrator for a new key.";
            api_key_address
                "The API key is limited to certain addresses, and the request came from another one; the detail names it.",
                "",
                "Send it from an address that the key allows, or have an administrator change them. If the address in the detail is your own proxy, BURSAR_TRUSTED_PROXIES must name that proxy.";
            api_key_addresses_required
                "This installation requires that keys that pay or administer are limited to certain addresses, and this one is not.",
                "",
                "Ask an administrator to set its addresses under People and keys.";
            person_needed
                "This API key may not do it: it would weaken a safeguard, shorten a hold period, give somebody access, show a full tax number, change the text of mails, or remove a vendor's connection or replace a live one by another account's.",
                "Nothing was changed. In a row of a file, only that row is refused.",
                "An administrator does it on the pages. A key made on the command line with the scope write may do it too.";
            second_person_needed
                "It takes two people, about a payment or a setting that would protect less, and this one is the first to ask, or does not count as the second.",
                "Nothing was changed or paid. The first person's request is recorded and waits.",
                "The detail says who can do it and from when: another person, a key with the scope release, or one that has been allowed to pay for a day.";
            not_found
                "It does not exist, or this key may not see it; the answer does not say which. In skipped[] of a bulk decision, the reward does not exist.",
                "",
                "Check the address and the id; a Bursar id only changes what exists and never creates anything.";
            method_not_allowed
                "The address does not support this HTTP method.",
                "",
                "The Allow header names the supported methods.";
            method_not_implemented
                "Bursar does not know this HTTP method.",
                "",
                "Use GET, HEAD, POST, PUT, PATCH or DELETE.";
            too_many_requests
                "This key or login exceeded its rate limit of requests per minute.",
                "This request was not processed. Earlier requests stay done.",
                "Wait for as long as Retry-After says, then send it again. The operator sets the limit (BURSAR_REQUESTS_PER_MINUTE); it applies to each key separately.";
            slow_down
                "There were too many attempts in a short time, or Bursar has no capacity for more right now, so this one was not processed.",
                "",
                "Wait for as long as Retry-After says, then try again. Nothing is locked.";
            over_capacity
                "Bursar is at capacity for this: it is reading or writing large files, or its webhook queue is full.",
                "Nothing was started. A vendor redelivers its webhook by itself.",
                "Retry after Retry-After, with the same Idempotency-Key.";
            master_key_missing
                "This machine's key file does not hold the key that now encrypts the database: the key was changed on another machine.",
                "Nothing was saved. Payments that need a vendor's credentials wait for a machine that has the key.",
                "Copy the key file from the machine where the key was changed; bursar key status and bursar doctor show the status.";
            storage_unavailable
                "The database does not answer, or its disk is full.",
                "A write in progress when the connection broke may have been committed; a retry with the same Idempotency-Key tells, and does not do it twice. Nothing is sent to a vendor until the database can write again.",
                "Retry after Retry-After, with the same Idempotency-Key. If it persists, tell Bursar's operator.";
            not_ready
                "Bursar is not ready yet; the detail says why. Only /readyz answers this.",
                "",
                "Send it no requests until it answers 200. If it persists, bursar doctor says what is wrong.";
            internal
                "Bursar had an internal error. The cause is in its log, under the request id.",
                "A request is done completely or not at all, except a decision on more than 2,000 rewards, where what was already decided stays. A retry with the same Idempotency-Key cannot do it twice.",
                "Retry it once with the same key. If it fails again, give the request id to Bursar's operator.";
        },
    },
    CodeGroup {
        id: "about-sending",
        title: "Requests that cannot be read",
        lead: "Nothing was done. errors[] points to the place, if there is one.",
        rows: rows! {
            bad_request
                "The request could not be parsed at all.",
                "",
                "Check how your program or a proxy writes the address and the headers.";
            unsupported_media_type
                "The address does not accept the body's Content-Type.",
                "",
                "Send JSON as application/json, and a file of rewards as text/csv or as an Excel workbook.";
            body_too_large
                "The body is larger than the address accepts; the detail says how large it may be.",
                "",
                "Send less at once: split the file, or the list.";
            body_too_slow
                "The body arrived too slowly.",
                "",
                "Send it again, over a faster connection or in smaller parts.";
            body_incomplete
                "The body ended early.",
                "",
                "Send it again, with the same Idempotency-Key.";
            malformed_json
                "The body is not JSON; the detail says where it stops being so.",
                "",
                "Use a JSON library to write it, in UTF-8.";
            duplicate_key
                "An object has the same key twice, so it is unclear which one is meant.",
                "",
                "Write it once.";
            unknown_field
                "There is no such field or parameter here. It is not ignored, because it may be a misspelled one that matters.",
                "",
                "The detail lists the valid ones.";
            too_many_fields
                "The query, form or object has too many fields.",
                "",
                "Send fewer at once.";
            name_too_long
                "A field name is longer than any valid one.",
                "",
                "Check what your program sends as field names.";
            value_too_long
                "A value is too long to be read.",
                "",
                "Shorten it.";
            too_deep
                "Lists and objects are nested too deeply.",
                "",
                "The API description shows the expected form.";
            invalid_character
                "A string contains a NUL character.",
                "",
                "Remove it.";
            wrong_type
                "The value has the wrong JSON type, such as a number instead of a string.",
                "",
                "Amounts are strings: \"420.00\".";
            missing
                "Something required is missing or empty.",
                "",
                "The pointer, or the row's column, names it; the detail says what to write.";
            invalid
                "The value is not valid there: it is too long, out of range, from another list, or contains an invisible character.",
                "",
                "The detail says what is wrong with it. If you change the sort or filter, start again without after.";
            unknown_value
                "The value is not one of those accepted there.",
                "",
                "The detail or the API description lists them.";
            unknown_status
                "There is no such status of a payment.",
                "",
                "The API description lists them.";
            unknown_vendor
                "There is no such vendor.",
                "",
                "Write stripe or paypal.";
            unknown_payment_type
                "There is no such payment type.",
                "",
                "Write individual or organization.";
            unknown_mode
                "There is no such mode of this vendor.",
                "",
                "The detail lists the valid ones.";
            invalid_id
                "This is not an id of the kind expected there.",
                "In a list of rewards, nothing was done to any of them.",
                "Ids of rewards begin with rwd_, those of batches with bat_. Your own ids are not accepted there; for a batch, its number is.";
            reserved_id
                "The external id looks like one of Bursar's own ids, so it could mean two things.",
                "",
                "Use the id from your own system.";
            ambiguous_payee
                "A partner and an account both have this external id.",
                "",
                "Use the Bursar id of the one you mean; the detail names both.";
            invalid_date
                "This is not a valid date or time, its year is not accepted, or it is the end of a range before its start.",
                "",
                "Write a date like 2026-01-31 or, where times are accepted, 2026-01-31T12:00:00Z.";
            date_to_come
                "The day on which a payee was paid is in the future.",
                "Nothing was changed: the money would be booked as paid before it is.",
                "Write the day on which they were paid.";
            choose_one
                "The request has both rewards and all_eligible, or neither.",
                "",
                "Name the rewards, or send all_eligible with an optional filter.";
            too_long
                "A text is too long to be stored.",
                "",
                "Shorten it; the detail gives the limit.";
            too_large
                "The number is larger than Bursar can handle or accepts there. For a clawback: together with earlier ones it is more than was paid for the reward.",
                "",
                "Check that it is right and not another number, such as an order number.";
            reason_required
                "It needs a reason, which is stored with it, and the reason is missing or too long.",
                "",
                "Write why. Payers and auditors read it, and the partner where stated.";
            note_required
                "The note on how it was found out at the vendor is missing, or longer than 1,000 characters.",
                "Nothing was settled.",
                "Write it in the note; it is kept as evidence.";
            reference_required
                "The reference of an outside payment is missing, or longer than 200 characters.",
                "Nothing was changed.",
                "Give the reference; it is kept as evidence that the payee was paid.";
        },
    },
    CodeGroup {
        id: AMOUNTS,
        title: "Amounts and currencies",
        lead: "Nothing was done; in a file, only the row with the error is refused.",
        rows: rows! {
            unknown_currency
                "Rewards cannot be paid in this currency, or the currency is no longer in use. Thresholds for tax reports are in USD only.",
                "",
                "Write its three letters, like USD; the detail names the successor of one that is no longer in use.";
            money_or_points
                "The value is given as money and as points.",
                "",
                "Give only one of the two.";
        },
    },
    CodeGroup {
        id: "about-once",
        title: "Idempotency and concurrent changes",
        lead: "These keep a repeated or late request from doing something twice, or from acting on data that nobody has seen.",
        rows: rows! {
            idempotency_key_required
                "This call could pay or enter something twice if it is retried after a lost answer, so it needs an Idempotency-Key.",
                "Nothing was done.",
                "Send a key of your choice: a new one for each request, and the same one when you retry.";
            idempotency_key_invalid
                "The Idempotency-Key is empty, too long, or contains characters that are not accepted.",
                "Nothing was done.",
                "Write 1 to 255 visible ASCII characters that do not begin with form:.";
            idempotency_key_reused
                "The Idempotency-Key was used for another request within the last 30 days: another method, address or body.",
                "This request did nothing. The first one's result stands.",
                "Send a new key for a new request. If this was meant to be the same request, find out what changed in it.";
            idempotency_key_in_use
                "The first request with this Idempotency-Key is still in progress.",
                "It is done once, by the first one, even if its client disconnected.",
                "Retry in a moment with the same key to get its answer.";
            external_id_conflict
                "The external id is already used with different content; in a file, possibly by an earlier line.",
                "Nothing was entered, so nothing is paid twice.",
                "Use a new id for a new reward, or change the existing one.";
            changed_meanwhile
                "Somebody else changed the same thing at the same time, or the payment moved on while Bursar was asking its vendor.",
                "Nothing was done. In skipped[] of a bulk decision, only this reward was left out.",
                "Read it again, then retry what you still want, with a new Idempotency-Key.";
            precondition_failed
                "It was changed since you read it: its version is not the one in If-Match.",
                "Nothing was done.",
                "Look at current in the answer, or read it again; then send it with the new ETag.";
            count_changed
                "The filter does not match the number of rewards in expected_count.",
                "None of them was decided.",
                "Read the list again, then send its current number.";
        },
    },
    CodeGroup {
        id: FILES,
        title: "Files",
        lead: "An error in the file as a whole refuses all of it; an error in a row refuses only that row, and the others are entered. The same file can be sent again: nothing is entered twice.",
        rows: rows! {
            not_csv
                "The file is neither CSV nor an Excel workbook (.xlsx) but another type, such as .xls or a PDF; the detail says which.",
                "Nothing was imported.",
                "Save it as .xlsx or as CSV UTF-8.";
            workbook_unreadable
                "The Excel workbook is damaged, incomplete or protected with a password.",
                "Nothing was imported.",
                "Open it, remove the password, and save it as .xlsx or as CSV UTF-8.";
            workbook_too_large
                "The Excel workbook is over a limit; the detail says which.",
                "Nothing was imported.",
                "Copy only the table into a new workbook, split it, or save the sheet as CSV UTF-8.";
            no_rows
                "No visible sheet of the Excel workbook has rows.",
                "Nothing was imported.",
                "Check that you sent the right file, and that its sheet is not hidden.";
            not_utf8
                "The file is not in UTF-8; the detail names the first place that is not.",
                "Nothing was imported.",
                "Save it as CSV UTF-8.";
            unknown_column
                "The header has an unknown column, or a column without a name contains values.",
                "Nothing was imported.",
                "Rename or delete the column; the detail lists the valid ones.";
            duplicate_column
                "The header has the same column twice, so it is unclear which one is meant.",
                "Nothing was imported.",
                "Delete one, or give them different names.";
            missing_column
                "The header lacks a required column.",
                "Nothing was imported.",
                "Add the column that the detail names.";
            too_many_rows
                "The file has, or would have, too many rows; the detail gives the limit.",
                "Nothing was imported or exported.",
                "Split the file, each part with the header. For an export, narrow it or choose CSV.";
            csv_only
                "The journal in an accounting program's layout is available only as CSV.",
                "",
                "Request csv, or the layout generic.";
            wrong_field_count
                "The row does not have as many fields as the header.",
                "",
                "Look for a separator inside a field; such a field must be in quotation marks.";
            error_in_cell
                "The cell of the Excel workbook shows an error, such as #N/A.",
                "",
                "Fix the formula, or enter the value.";
            digits_lost
                "The number has more than 15 digits, and a spreadsheet keeps only 15.",
                "",
                "Format the column as text, and enter the whole number again.";
            formula_without_result
                "The cell has a formula whose result is not in the file.",
                "",
                "Open the file in a spreadsheet program, save it and send it again.";
            shown_otherwise
                "The format of the cell shows more, or less, than the number it holds: text around it, or thousands.",
                "",
                "Format the column as text, and enter what you see.";
            scientific_notation
                "A spreadsheet turned a long id into a number like 9.78E+11, and its last digits are lost.",
                "",
                "Format the column as text, enter the ids again and save the file.";
        },
    },
];
