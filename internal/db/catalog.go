package db

import (
	"context"
	"fmt"
	"strings"
)

// Table is a table as the engine describes it: what is needed to read all texts
// there are.
type Table struct {
	Name    string
	Key     []string // columns of the primary key
	Columns []string // all, in their order
	Texts   []string // columns of text, without those of the key
}

// Has reports whether the table has the column.
func (t Table) Has(column string) bool {
	for _, c := range t.Columns {
		if c == column {
			return true
		}
	}
	return false
}

// Tables returns the tables of the schema by name, without those of the search
// index and of the migrations. Erasing a person reads it, so that a table
// somebody adds later is looked through as well (GOV-4).
func (d *DB) Tables(ctx context.Context) ([]Table, error) {
	query := `
		SELECT c.table_name, c.column_name, c.data_type,
		       COALESCE((SELECT k.ordinal_position FROM information_schema.key_column_usage k
		                 JOIN information_schema.table_constraints p ON p.constraint_schema = k.constraint_schema AND p.constraint_name = k.constraint_name AND p.table_name = k.table_name
		                 WHERE p.constraint_type = 'PRIMARY KEY' AND k.table_schema = c.table_schema AND k.table_name = c.table_name AND k.column_name = c.column_name), 0)
		FROM   information_schema.columns c JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
		WHERE  c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
		ORDER BY c.table_name, c.ordinal_position`
	if d.dialect == SQLite {
		query = `
			SELECT m.name, c.name, c.type, c.pk
			FROM   sqlite_schema m JOIN pragma_table_info(m.name) c
			WHERE  m.type = 'table' AND m.name NOT LIKE 'sqlite_%'
			ORDER BY m.name, c.cid`
	}
	rows, err := d.pool.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("db: tables: %w", err)
	}
	defer rows.Close()
	var out []Table
	key := map[int]string{}
	end := func() {
		if len(out) > 0 {
			for i := 1; i <= len(key); i++ {
				out[len(out)-1].Key = append(out[len(out)-1].Key, key[i])
			}
		}
		clear(key)
	}
	for rows.Next() {
		var table, column, typ string
		var pk int
		if err := rows.Scan(&table, &column, &typ, &pk); err != nil {
			return nil, fmt.Errorf("db: tables: %w", err)
		}
		if strings.HasPrefix(table, "search_") || strings.HasPrefix(table, "goose_") {
			continue
		}
		if len(out) == 0 || out[len(out)-1].Name != table {
			end()
			out = append(out, Table{Name: table})
		}
		t := &out[len(out)-1]
		t.Columns = append(t.Columns, column)
		if pk > 0 {
			key[pk] = column
		} else if strings.EqualFold(typ, "text") {
			t.Texts = append(t.Texts, column)
		}
	}
	end()
	return out, rows.Err()
}
