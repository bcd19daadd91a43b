-- Which objects the events of a payment name, without reading the events, whose bodies are what makes them large.
DROP INDEX vendor_event_linked;
CREATE INDEX vendor_event_linked ON vendor_event (transaction_id, linked_at, applied_at, object_id)
    WHERE linked_at IS NOT NULL AND applied_at IS NULL;
