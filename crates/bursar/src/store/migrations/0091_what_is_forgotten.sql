-- What a text was that is not kept word for word any more (BURSAR_RAW_DAYS). An event is known by its id all the same.
ALTER TABLE vendor_event ADD COLUMN body_hash TEXT;
ALTER TABLE vendor_answer ADD COLUMN body_hash TEXT;
