//! Codes about the request itself: authentication, transport, content, files and idempotency. What is deliberately not
//! here: codes about the operation (`doing`).

use super::{Area, Row};

pub(super) const AMOUNTS: &str = "about-amounts";
pub(super) const FILES: &str = "about-files";

pub(super) const AREAS: &[Area] = &[
    Area {
        id: "about-asking",
        title: "Who asks, and whether Bursar can do it now",
        lead: "Nothing was done, where it is not said otherwise.",
        rows: rows! {
            unauthenticated
                "No API key came with the request, or none that counts: it is mistyped or revoked.",
                "",
                "Send the key as Authorization: Bearer brs_…. An administrator makes keys under People and keys; at the command line it is bursar api-key create.";
            api_key_ended
                "The API key had an end, and it has passed; the detail says when.",
                "",
                "Ask an administrator for another key. What was asked for before is there, and goes on.";
            api_key_maker_gone
                "The API key ended with whoever made it: they are shut out, or no administrator any more.",
                "",
                "Ask another administrator to make another key.";
            api_key_address
                "The API key names the addresses it is taken from, and the request came from another one; the detail names it.",
                "",
                "Send it from an address that the key names, or have an administrator change those. Where the address in the detail is a proxy of yours, BURSAR_TRUSTED_PROXIES must name that proxy.";
            api_key_addresses_required
                "Here keys that pay or administer must name the addresses they are taken from, and this one names none.",
                "",
                "Ask an administrator to name its addresses under People and keys.";
            person_needed
                "This API key may not do it: it would weaken a safeguard, shorten a hold period, let somebody in, show a whole tax number, change the words of mails, or take a vendor's connection away.",
                "Nothing was changed. In a row of a file, only that row is refused.",
                "An administrator does it on the pages. A key of the command line with the scope write may do it as well.";
            second_person_needed
                "It takes two people, and this one does not count as the second, or is the first to ask for it: of a payment, or of a setting that would protect less.",
                "Nothing was changed and nothing is paid by it. What the first one said is kept and waits.",
                "The detail says who can do it, and from when on: another person, a key with the scope release, or one that has been allowed to pay for a day.";
            not_found
                "There is no such thing, or it is not for this key. Which of the two is not told. In skipped[] of a bulk decision, the reward is not there.",
                "",
                "Compare the address and the id; an id of ours changes what has it and makes nothing.";
            method_not_allowed
                "The address does not answer to this method of HTTP.",
                "",
                "Allow names the methods it answers to.";
            method_not_implemented
                "The method is no word of HTTP that Bursar knows.",
                "",
                "Use GET, HEAD, POST, PUT, PATCH or DELETE.";
            too_many_requests
                "This key, or this login, sent more requests in a minute than are taken of one.",
                "This request was not looked at. What was done before stays done.",
                "Wait for as long as Retry-After says, then send it again. The operator sets the number (BURSAR_REQUESTS_PER_MINUTE); every key has its own.";
            slow_down
                "There were too many tries in a short time, or Bursar has no room for more at this moment, so this one was not looked at.",
                "",
                "Wait for as long as Retry-After says, then try again. Nothing is locked.";
            over_capacity
                "Bursar does as much of this at once as it can: large files are read or written, or more webhooks wait than it takes.",
                "Nothing was begun. A vendor sends its webhook again by itself.",
                "Ask again after Retry-After, with the same Idempotency-Key.";
            master_key_missing
                "This machine's key file does not hold the key that the database is sealed with now: the key was changed on another machine.",
                "Nothing was saved. Payments that need a vendor's credentials wait for a machine that has the key.",
                "Copy the key file from the machine where the key was changed; bursar key status and bursar doctor say how it stands.";
            storage_unavailable
                "The database does not answer, or its disk is full.",
                "What was being written when the connection broke may be there; the same Idempotency-Key tells, and does not do it twice. Nothing is sent to a vendor until the database can write again.",
                "Ask again after Retry-After, with the same Idempotency-Key. If it stays so, tell whoever runs Bursar.";
            not_ready
                "Bursar cannot do its work yet; the detail says why. It is the answer of /readyz alone.",
                "",
                "Send it no requests until it answers 200. If it stays so, bursar doctor says what is wrong.";
            internal
                "Bursar failed inside. The cause is in its log, under the request id.",
                "What is asked for is done whole or not at all, but for a decision about more than 2,000 rewards, of which what was decided stays. Asked again under the same Idempotency-Key, it cannot be done twice.",
                "Repeat it once with the same key. If it fails again, give the request id to whoever runs Bursar.";
        },
    },
    Area {
        id: "about-sending",
        title: "What was sent cannot be read",
        lead: "Nothing was done. errors[] points at the place, where there is one.",
        rows: rows! {
            bad_request
                "The request could not be taken apart at all.",
                "",
                "Look at how your program or a proxy writes the address and the headers.";
            unsupported_media_type
                "The body has another Content-Type than the address takes.",
                "",
                "Send JSON as application/json, and a file of rewards as text/csv.";
            body_too_large
                "The body is larger than the address takes; the detail says how large it may be.",
                "",
                "Send less at once: split the file, or the list.";
            body_too_slow
                "Too little of the body came in too long a time.",
                "",
                "Send it again, over a better line or in smaller parts.";
            body_incomplete
                "The body broke off before its end.",
                "",
                "Send it again, with the same Idempotency-Key.";
            malformed_json
                "The body is no JSON; the detail says from where on.",
                "",
                "Let a library write it, in UTF-8.";
            duplicate_key
                "A key stands twice in one object, so that nobody can say which of the two is meant.",
                "",
                "Write it once.";
            unknown_field
                "There is no such field or parameter here. It is not passed over, because it may be a misspelt one that matters.",
                "",
                "The detail names those that there are.";
            too_many_fields
                "The query, form or object has more fields than are read.",
                "",
                "Send fewer at once.";
            name_too_long
                "The name of a field is longer than any that there is.",
                "",
                "Look at what your program takes for a name.";
            value_too_long
                "A value is longer than is read.",
                "",
                "Shorten it.";
            too_deep
                "Lists and objects lie in each other more deeply than is read.",
                "",
                "The description shows the form that is meant.";
            invalid_character
                "A text holds the sign NUL.",
                "",
                "Send it without.";
            wrong_type
                "The value is of another type of JSON, such as a number where a text is meant.",
                "",
                "Amounts are texts: \"420.00\".";
            missing
                "Something that is needed is not there, or is empty.",
                "",
                "The pointer names it, or the column of the row; the detail says what to write.";
            invalid
                "The value cannot be what is meant there: too long, out of range, of another list, or with a sign that nobody sees.",
                "",
                "The detail says what is wrong with it. A page that is begun with another sort or filter begins without after.";
            unknown_value
                "The word is none of those that are taken there.",
                "",
                "The detail or the description has the list.";
            unknown_status
                "There is no such status of a payment.",
                "",
                "The description has the list.";
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
                "The detail names those that there are.";
            invalid_id
                "This is no id of what is meant there.",
                "In a list of rewards, nothing was done with any of them.",
                "Ids of rewards begin with rwd_, those of batches with bat_. Your own ids are not taken there; where a batch is asked for, its number is.";
            reserved_id
                "The external id reads like one that Bursar gives itself, so it would name two things.",
                "",
                "Use the id that the thing has in your own system.";
            ambiguous_payee
                "The external id is that of a partner and of an account.",
                "",
                "Use the id of ours that means the one; the detail names both.";
            invalid_date
                "This is no day or moment as it is written here, is out of the years that are taken, or is the end of a span before its beginning.",
                "",
                "Write a day like 2026-01-31; where a moment is taken as well, like 2026-01-31T12:00:00Z.";
            date_to_come
                "The day on which a payee was paid is still to come.",
                "Nothing was changed: the money would be counted as gone before it is.",
                "Write the day on which they were paid.";
            choose_one
                "Rewards were named and all_eligible as well, or neither.",
                "",
                "Name the rewards, or say all_eligible with an optional filter.";
            too_long
                "A text is longer than is kept.",
                "",
                "Shorten it; the detail says to what.";
            too_large
                "The number is larger than Bursar counts or takes there. For a clawback: with earlier ones it is more than was paid for the reward.",
                "",
                "Look whether it is right and no other number, such as an order's.";
            reason_required
                "It needs a reason, which is kept with it, and there is none, or one that is too long.",
                "",
                "Write why. Whoever pays or audits reads it, and where it is said so, the partner.";
            note_required
                "How it was found out at the vendor is not said, or in more than 1,000 characters.",
                "Nothing was settled.",
                "Write it down in the note; it is kept as the proof.";
            reference_required
                "The reference of a payment that was made outside is not given, or has more than 200 characters.",
                "Nothing was changed.",
                "Give the reference; it is kept as the proof that the payee was paid.";
        },
    },
    Area {
        id: AMOUNTS,
        title: "Amounts and currencies",
        lead: "Nothing was done; of a file, only the row that it stands in is refused.",
        rows: rows! {
            unknown_currency
                "This is no currency in which a reward can be paid, or one that has ended. Thresholds for tax reports are in USD alone.",
                "",
                "Write its three letters, like USD; the detail names what took the place of one that has ended.";
            money_or_points
                "The value is given as money and as points.",
                "",
                "Give one of the two.";
        },
    },
    Area {
        id: "about-once",
        title: "Doing a thing once, and what changed meanwhile",
        lead: "These keep a repeated or a late request from doing something twice, or from doing what nobody has seen.",
        rows: rows! {
            idempotency_key_required
                "This call could pay or enter twice when it is repeated after a lost answer, so it is done under an Idempotency-Key alone.",
                "Nothing was done.",
                "Send a word of your choice, new for each request and the same when you repeat it.";
            idempotency_key_invalid
                "The Idempotency-Key is empty, too long, or holds signs that are not taken.",
                "Nothing was done.",
                "Write 1 to 255 visible ASCII characters that do not begin with form:.";
            idempotency_key_reused
                "The Idempotency-Key was used for another request within the last 30 days: another method, address or body.",
                "This request did nothing. What the first one did stands.",
                "Send a new key for a new request. If this was meant to be the same one, find out what changed in it.";
            idempotency_key_in_use
                "The first request under this Idempotency-Key still runs.",
                "It is done once, by the first one, even if whoever sent that hung up.",
                "Ask again in a moment under the same key: you get its answer.";
            external_id_conflict
                "The external id stands for something with other content already; in a file, also for an earlier line.",
                "Nothing was entered, so nothing is paid twice.",
                "Use a new id for a new reward, or change the one that exists.";
            changed_meanwhile
                "Somebody else changed the same thing at the same moment, or the payment moved on while its vendor was asked.",
                "Nothing was done. In skipped[] of a bulk decision only this reward was left out.",
                "Read it again, then repeat what you still want, under a new Idempotency-Key.";
            precondition_failed
                "It was changed since you read it: it has another version than If-Match names.",
                "Nothing was done.",
                "Look at current in the answer, or read it again; then send it with the new ETag.";
            count_changed
                "The filter finds another number of rewards than expected_count says.",
                "Nothing was decided about any of them.",
                "Read the list again, then send the number that it has now.";
        },
    },
    Area {
        id: FILES,
        title: "Files",
        lead: "What is wrong with a file as a whole refuses all of it; what is wrong with a row refuses that row, and the others are entered. The same file can be sent again: what was entered is not entered twice.",
        rows: rows! {
            not_csv
                "The file is of another kind, such as a spreadsheet or a PDF; the detail says which.",
                "Nothing was imported.",
                "Save it as CSV UTF-8.";
            not_utf8
                "The file is not in UTF-8; the detail names the first place that is not.",
                "Nothing was imported.",
                "Save it as CSV UTF-8.";
            unknown_column
                "The header has a column that is not known, or a column without a name holds something.",
                "Nothing was imported.",
                "Rename or delete the column; the detail names those that there are.";
            duplicate_column
                "A column stands twice in the header, so that nobody can say which of the two is meant.",
                "Nothing was imported.",
                "Delete one, or give them different names.";
            missing_column
                "A column that is needed is not in the header.",
                "Nothing was imported.",
                "Add the column that the detail names.";
            too_many_rows
                "The file has more lines, or would have more rows, than are taken at once; the detail says how many.",
                "Nothing was imported or exported.",
                "Split a file, each part with the header. Of an export take less, or CSV.";
            csv_only
                "The journal in the form of an accounting program is there as CSV alone.",
                "",
                "Ask for csv, or for the layout generic.";
            wrong_field_count
                "The row has another number of fields than the header.",
                "",
                "Look for a separator inside a field, which must stand in quotation marks.";
            scientific_notation
                "A spreadsheet has made a number like 9.78E+11 of a long id, and its last digits are lost.",
                "",
                "Format the column as text, enter the ids again and save the file.";
        },
    },
];
