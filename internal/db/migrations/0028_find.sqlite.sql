-- +goose Up
-- A search finds its ten among hundreds without reading them: whether the reader
-- may see a customer stands in the index it looks into.
DROP INDEX customers_name_key;
DROP INDEX customers_initials;
DROP INDEX customers_pinyin;
CREATE INDEX customers_name_key ON customers (name_key, id, gone, department_id, owner_id, created_by);
CREATE INDEX customers_initials ON customers (initials, id, gone, department_id, owner_id, created_by);
CREATE INDEX customers_pinyin ON customers (pinyin, id, gone, department_id, owner_id, created_by);
CREATE INDEX customers_reach ON customers (id, department_id, owner_id, created_by) WHERE gone = 0; -- for what the text index answers

-- Copies of the customer's, for the same reason; the triggers keep them.
ALTER TABLE contacts ADD COLUMN of_department BIGINT NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN of_owner BIGINT NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN of_creator BIGINT NOT NULL DEFAULT 0;
UPDATE contacts SET of_department = c.department_id, of_owner = c.owner_id, of_creator = c.created_by FROM customers c WHERE c.id = contacts.customer_id;
DROP INDEX contacts_customer;
-- With all that lists show of a contact.
CREATE INDEX contacts_customer ON contacts (customer_id, is_primary, active, id, name, gender, position, role, phone_masked, email_masked, wechat_masked);
DROP INDEX contacts_initials;
DROP INDEX contacts_phone4;
CREATE INDEX contacts_initials ON contacts (initials, customer_id, active, of_department, of_owner, of_creator);
CREATE INDEX contacts_phone4 ON contacts (phone4_index, customer_id, active, of_department, of_owner, of_creator) WHERE phone4_index IS NOT NULL;

-- +goose StatementBegin
CREATE TRIGGER contacts_reach AFTER INSERT ON contacts WHEN NEW.of_department = 0 BEGIN
	UPDATE contacts SET (of_department, of_owner, of_creator) = (SELECT c.department_id, c.owner_id, c.created_by FROM customers c WHERE c.id = NEW.customer_id) WHERE id = NEW.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER contacts_moved AFTER UPDATE OF customer_id ON contacts WHEN NEW.customer_id <> OLD.customer_id BEGIN
	UPDATE contacts SET (of_department, of_owner, of_creator) = (SELECT c.department_id, c.owner_id, c.created_by FROM customers c WHERE c.id = NEW.customer_id) WHERE id = NEW.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER customers_reach AFTER UPDATE OF department_id, owner_id, created_by ON customers
WHEN NEW.department_id <> OLD.department_id OR NEW.owner_id <> OLD.owner_id OR NEW.created_by <> OLD.created_by BEGIN
	UPDATE contacts SET of_department = NEW.department_id, of_owner = NEW.owner_id, of_creator = NEW.created_by WHERE customer_id = NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
