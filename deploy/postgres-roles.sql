-- Least-privilege roles for Bursar on PostgreSQL. Run this in Bursar's database as a superuser after `bursar migrate` has created the
-- tables, and again after each upgrade; for the latter, the owner of the database and its tables is enough (docs/operating.md, *Roles
-- with the least rights*):
--
--   psql -v ON_ERROR_STOP=1 -d bursar -f postgres-roles.sql
--
-- | role | may |
-- | --- | --- |
-- | the owner of the tables | change the tables: used only by `bursar migrate` |
-- | bursar_serve | read and write what the program needs; append to the books and the audit trail, never change them |
-- | bursar_report | read everything except secrets and payment addresses; for your own reports |
--
-- It runs in one transaction and can be repeated: existing grants of the two roles are revoked first. Passwords are not changed.

BEGIN;

DO $$
DECLARE
    owner text := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('reward'));
    one text;
    had record;
BEGIN
    IF owner IS NULL THEN
        RAISE EXCEPTION 'Bursar has no tables in the database % yet: run "bursar migrate" first', current_database();
    END IF;
    -- A role without a password cannot sign in with one: set it afterwards with \password in psql.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bursar_serve') THEN
        CREATE ROLE bursar_serve LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bursar_report') THEN
        CREATE ROLE bursar_report LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
        ALTER ROLE bursar_report SET default_transaction_read_only = on;
        ALTER ROLE bursar_report SET statement_timeout = '60s';
    END IF;
    FOREACH one IN ARRAY ARRAY['bursar_serve', 'bursar_report'] LOOP
        -- A member has all rights of the owner, whatever is granted below; a superuser has every right.
        IF pg_has_role(one, owner, 'MEMBER') THEN
            RAISE EXCEPTION '% has the rights of %, who owns the tables: let another role own them', one, owner;
        END IF;
        FOR had IN SELECT oid::regclass AS name, CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind FROM pg_class
            WHERE relkind IN ('r', 'v', 'S') AND pg_get_userbyid(relowner) = owner
            AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
        LOOP
            EXECUTE format('REVOKE ALL ON %s %s FROM %I', had.kind, had.name, one);
        END LOOP;
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', current_schema(), one);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), one);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), one);
    END LOOP;
    -- PostgreSQL grants these to PUBLIC by default; CREATE only in databases created before version 15.
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    IF NOT has_schema_privilege(owner, current_schema(), 'CREATE') THEN
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', current_schema(), owner);
    END IF;
END $$;

-- The serving role. Writing needs no grant on the sequence, which belongs to an identity column; pg_dump, which `bursar backup`
-- recommends, reads it.

GRANT SELECT ON _sqlx_migrations, held_payee, shared_unseen TO bursar_serve;
GRANT SELECT ON SEQUENCE audit_waiting_place_seq TO bursar_serve;

-- Append-only.
GRANT SELECT, INSERT ON
    audit, batch_hand, external_id_review, found_payee, journal, mail_try, notice_template, posting, profile_change,
    shared_destination, timeline, transaction_reward
    TO bursar_serve;

-- Inserted and deleted, never updated. A trigger lets a row leave audit_waiting only when it is in audit.
GRANT SELECT, INSERT, DELETE ON
    audit_waiting, batch_shown, came_back, export_part, import_file, mail_suppression, passkey_challenge,
    search_word, second_opinion
    TO bursar_serve;

-- Updated, never deleted.
GRANT SELECT, INSERT, UPDATE ON
    account, activity, asked, attempt, batch, connected_account, counter, decision, decision_reward, export_run,
    found_payment, import_header, import_run, login_tries, mail, named_object, notice_told, outbox, partner, payout_profile,
    payout_request, payout_transaction, person, preference, program, reconciliation_case, retired_key, second_payment,
    set_aside, setting, skipped_claim, submission, tax_report, threshold_override, vendor_answer, vendor_day, vendor_event,
    vendor_movement, vendor_pull
    TO bursar_serve;

GRANT SELECT, INSERT, UPDATE, DELETE ON
    address_confirmation, former_email, factor, factor_begun, half_login, idempotency, import_refused, login_browser,
    login_bucket, login_identity, login_link, meta, node, onboarding_state, passkey, recovery_code, reward, saved_view,
    secret_link, session, vendor_connection
    TO bursar_serve;

-- The reporting role. Where columns are listed, the others contain hashes, encrypted values, payment addresses, or text sent to people.
-- Nothing is granted on sessions, links, second factors, settings, files and unsent requests.

GRANT SELECT ON
    _sqlx_migrations, account, activity, asked, attempt, audit, batch, batch_hand, decision, decision_reward, held_payee,
    journal, partner, payout_request, posting, profile_change, program, reconciliation_case, second_payment,
    set_aside, shared_unseen, skipped_claim, threshold_override, timeline, transaction_reward, vendor_day
    TO bursar_report;

GRANT SELECT (payee, number, country, business_type, service_agreement, intended_at, intended_by, made_at, refused_at, refused_why)
    ON connected_account TO bursar_report;
GRANT SELECT (vendor, object_id, our_id, amount_minor, currency, made_at, found_at, settled_at, settled_by, note, reference, standing,
    vendor_says, asked_at, watched_until, vendor_account) ON found_payment TO bursar_report;
GRANT SELECT (id, outbox_id, notice, about, recipient_name, language, template_version, state, created_at, next_at, tries, sent_at)
    ON mail TO bursar_report;
GRANT SELECT (id, notice, subject, created_at, expanded_at, due_at) ON outbox TO bursar_report;
GRANT SELECT (payee, vendor, masked, payable_at, not_payable_why, currencies, set_at, changed_at, check_at, checked_at)
    ON payout_profile TO bursar_report;
GRANT SELECT (id, number, batch_id, payee, vendor, masked, currency, amount_minor, fee_minor, net_minor, state, reason_code,
    reason_message, waiting_code, created_at, state_at, settled_at, left_at, released_at, outside_at, outside_on, outside_reference,
    ask_at, asked_at, contradicted_at, version, vendor_account, mode, monthly_fee_minor, otherwise_at, reversal_seen_at)
    ON payout_transaction TO bursar_report;
GRANT SELECT (id, kind, name, email, role, partner_id, created_at, disabled_at, last_seen_at, made_by, ends_at) ON person TO bursar_report;
GRANT SELECT (id, number, external_id, program_id, activity_id, owner_id, account_id, reward_type, payment_type, payee, entry,
    value_minor, currency, status, reason, reason_shown_at, form_reference, note, earned_on, expires_at, held_until, created_at,
    created_by, decided_at, decided_by, first_approved_at, batch_id, transaction_id, paid_at, version) ON reward TO bursar_report;
GRANT SELECT (id, vendor, kind, path, account, batch_id, state, next_at, tries, doubts, refusals, looks, looked_at, last_why, vendor_id,
    created_at, first_sent_at, last_sent_at, ended_at, vendor_account, epoch) ON submission TO bursar_report;
GRANT SELECT (payee, form, signed_on, expires_at, filed_at, filed_by) ON tax_report TO bursar_report;
GRANT SELECT (id, submission_id, at, status, request_id) ON vendor_answer TO bursar_report;
GRANT SELECT (vendor, mode, connected_at, rejected_at, rejected_why, bad_signatures, last_event_at, unreadable_events, vendor_account)
    ON vendor_connection TO bursar_report;
GRANT SELECT (id, vendor, endpoint, event_id, event_type, account, object_id, received_at, transaction_id, linked_at, parked_at,
    applied_at, effect) ON vendor_event TO bursar_report;
GRANT SELECT (id, vendor, vendor_account, vendor_id, kind, currency, amount_minor, fee_minor, net_minor, created_at, available_at, day,
    source, first_seen_at, transaction_id, journal_id, line, tied_at) ON vendor_movement TO bursar_report;
GRANT SELECT (vendor, vendor_account, begun_at, read_until, due_at, pulled_at, unread, failed_at, failed_why) ON vendor_pull TO bursar_report;

COMMIT;
