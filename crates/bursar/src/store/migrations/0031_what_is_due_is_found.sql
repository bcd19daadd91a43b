-- Accounts that are to be read again are few among all profiles.
CREATE INDEX payout_profile_to_check ON payout_profile (vendor, check_at) WHERE check_at IS NOT NULL;

-- Profiles that a vendor would not pay are read again once a day, not only when an event tells of them.
UPDATE payout_profile SET check_at = COALESCE(checked_at, set_at)
    WHERE vendor = 'stripe' AND payable_at IS NULL AND check_at IS NULL;

-- A batch's submissions to PayPal, from whose keys the number of the next one follows.
CREATE INDEX submission_of_batch ON submission (batch_id) WHERE kind = 'batch';

-- Events for objects that we do not know are looked at again while they are young, and then laid aside.
CREATE INDEX vendor_event_in_the_park ON vendor_event (parked_at)
    WHERE parked_at IS NOT NULL AND linked_at IS NULL AND applied_at IS NULL;

-- How many signed events could not be read, by vendor.
ALTER TABLE vendor_connection ADD COLUMN unreadable_events BIGINT NOT NULL DEFAULT 0;
