-- +goose Up
-- A search finds its ten among hundreds without reading them: whether the reader
-- may see a customer stands in the index it looks into.
DROP INDEX customers_name_key;
DROP INDEX customers_initials;
DROP INDEX customers_pinyin;
CREATE INDEX customers_name_key ON customers (name_key, id) INCLUDE (gone, department_id, owner_id, created_by);
CREATE INDEX customers_initials ON customers (initials, id) INCLUDE (gone, department_id, owner_id, created_by);
CREATE INDEX customers_pinyin ON customers (pinyin, id) INCLUDE (gone, department_id, owner_id, created_by);

-- Copies of the customer's, for the same reason; the triggers keep them.
ALTER TABLE contacts ADD COLUMN of_department BIGINT NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN of_owner BIGINT NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN of_creator BIGINT NOT NULL DEFAULT 0;
UPDATE contacts SET of_department = c.department_id, of_owner = c.owner_id, of_creator = c.created_by FROM customers c WHERE c.id = contacts.customer_id;
DROP INDEX contacts_customer;
-- With all that lists show of a contact.
CREATE INDEX contacts_customer ON contacts (customer_id, is_primary) INCLUDE (active, id, name, gender, position, role, phone_masked, email_masked, wechat_masked);
DROP INDEX contacts_initials;
DROP INDEX contacts_phone4;
CREATE INDEX contacts_initials ON contacts (initials, customer_id) INCLUDE (active, of_department, of_owner, of_creator);
CREATE INDEX contacts_phone4 ON contacts (phone4_index, customer_id) INCLUDE (active, of_department, of_owner, of_creator) WHERE phone4_index IS NOT NULL;

-- +goose StatementBegin
CREATE FUNCTION contacts_reach() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE c RECORD;
BEGIN
	SELECT x.department_id, x.owner_id, x.created_by INTO c FROM customers x WHERE x.id = NEW.customer_id;
	IF FOUND THEN
		NEW.of_department := c.department_id;
		NEW.of_owner := c.owner_id;
		NEW.of_creator := c.created_by;
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER contacts_reach BEFORE INSERT ON contacts FOR EACH ROW WHEN (NEW.of_department = 0) EXECUTE FUNCTION contacts_reach();
CREATE TRIGGER contacts_moved BEFORE UPDATE OF customer_id ON contacts FOR EACH ROW WHEN (NEW.customer_id <> OLD.customer_id) EXECUTE FUNCTION contacts_reach();
-- +goose StatementBegin
CREATE FUNCTION customers_reach() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE contacts SET of_department = NEW.department_id, of_owner = NEW.owner_id, of_creator = NEW.created_by WHERE customer_id = NEW.id;
	RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER customers_reach AFTER UPDATE OF department_id, owner_id, created_by ON customers FOR EACH ROW
	WHEN (NEW.department_id <> OLD.department_id OR NEW.owner_id <> OLD.owner_id OR NEW.created_by <> OLD.created_by) EXECUTE FUNCTION customers_reach();

-- The inverted index of this engine answers in no order and only when it has
-- everything, so a frequent word costs what it finds. Pairs of characters, the
-- usual search for a name, are kept once more in a list that is read from the
-- newest on for as long as anything is wanted.
CREATE TABLE search_customer_pair (
	pair TEXT COLLATE "C" NOT NULL,
	id   BIGINT NOT NULL,
	PRIMARY KEY (pair, id)
);
-- +goose StatementBegin
CREATE FUNCTION search_pairs(doc tsvector) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
	SELECT w FROM unnest(tsvector_to_array(doc)) w WHERE char_length(w) = 2 AND ascii(w) BETWEEN 13312 AND 40908
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION search_customer_pairs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		DELETE FROM search_customer_pair p USING search_pairs(OLD.doc) w WHERE p.pair = w AND p.id = OLD.id;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO search_customer_pair (pair, id) SELECT w, NEW.id FROM search_pairs(NEW.doc) w ON CONFLICT DO NOTHING;
	END IF;
	RETURN NULL;
END $$;
-- +goose StatementEnd
INSERT INTO search_customer_pair (pair, id) SELECT w, s.id FROM search_customer s, search_pairs(s.doc) w;
CREATE TRIGGER search_customer_pairs AFTER INSERT OR DELETE OR UPDATE OF doc ON search_customer FOR EACH ROW EXECUTE FUNCTION search_customer_pairs();

-- +goose Down
SELECT 1;
