// Package sheet reads the tables people upload, as they come out of Excel, WPS
// and older systems, and writes the tables people download.
//
// Reading: the content decides what a file is, not its name. Excel workbooks
// (.xlsx) and text tables are understood, the latter in UTF-8, UTF-16 or GB18030
// (GBK, GB2312), separated by comma, semicolon, tab or vertical bar. Rows come
// one at a time and memory stays flat, however large the file is; [Limits] bound
// everything an attacker could inflate. Cells come as text: dates as
// 2006-01-02 15:04:05, numbers without exponent. Nothing is trimmed or converted
// to half width; that is for the importer, who knows what the column means.
//
// Writing: [Writer] streams .xlsx and .csv. A text that a spreadsheet program
// would run as a formula is defused.
//
// Every error meant for the person who uploaded the file is a fault with a key
// under sheet., and wraps one of the Err values for the program.
package sheet

import (
	"errors"
	"strings"

	"bihuan/internal/fault"
)

// What can be wrong with an uploaded file; compare with errors.Is.
var (
	ErrEmpty     = errors.New("sheet: no rows")
	ErrNotSheet  = errors.New("sheet: not a spreadsheet")
	ErrOldExcel  = errors.New("sheet: Excel 97-2003 or binary workbook")
	ErrHTML      = errors.New("sheet: web page under a spreadsheet's name")
	ErrEncrypted = errors.New("sheet: workbook with a password")
	ErrDamaged   = errors.New("sheet: damaged file")
	ErrTooLarge  = errors.New("sheet: unpacks to more than allowed")
	ErrRows      = errors.New("sheet: too many rows")
	ErrColumns   = errors.New("sheet: too many columns")
	ErrCell      = errors.New("sheet: cell too long")
	ErrNoSheet   = errors.New("sheet: no such sheet")
)

func empty() error     { return fault.Invalidf("sheet.empty").Wrap(ErrEmpty) }
func notSheet() error  { return fault.Invalidf("sheet.not_a_spreadsheet").Wrap(ErrNotSheet) }
func oldExcel() error  { return fault.Invalidf("sheet.old_excel").Wrap(ErrOldExcel) }
func webPage() error   { return fault.Invalidf("sheet.web_page").Wrap(ErrHTML) }
func encrypted() error { return fault.Invalidf("sheet.encrypted").Wrap(ErrEncrypted) }
func tooLarge() error  { return fault.New(fault.Limited, "sheet.too_large").Wrap(ErrTooLarge) }

// damaged keeps the cause for the log; the person is told to save the file anew.
func damaged(cause error) error {
	return fault.Invalidf("sheet.damaged").Wrap(errors.Join(ErrDamaged, cause))
}

func tooManyRows(limit int) error {
	return fault.New(fault.Limited, "sheet.too_many_rows", limit).Wrap(ErrRows)
}

func tooManyColumns(row, limit int) error {
	return fault.New(fault.Limited, "sheet.too_many_columns", row, limit).Wrap(ErrColumns)
}

func cellTooLong(row, limit int) error {
	return fault.New(fault.Limited, "sheet.cell_too_long", row, limit).Wrap(ErrCell)
}

// textTooLong is for the table of texts, which does not say where one is used.
func textTooLong(limit int) error {
	return fault.New(fault.Limited, "sheet.text_too_long", limit).Wrap(ErrCell)
}

// Limits bound what reading a file may cost. A zero field means its default.
type Limits struct {
	Unpacked      int64 // bytes all parts read from a workbook may unpack to; 1 GiB
	Ratio         int64 // times a part may be larger than packed, looked at from 16 MiB on; 300
	SharedStrings int64 // bytes of the table of texts of a workbook, held in memory; 64 MiB
	Rows          int   // rows that are not blank; 1,048,576
	Columns       int   // 256
	Cell          int   // characters in a cell; 32,767 as in Excel
}

func (l Limits) withDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	defInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.Unpacked, 1<<30)
	def(&l.Ratio, 300)
	def(&l.SharedStrings, 64<<20)
	defInt(&l.Rows, maxRows)
	defInt(&l.Columns, 256)
	defInt(&l.Cell, maxCell)
	return l
}

const (
	maxRows   = 1 << 20 // of Excel
	maxCell   = 32767   // characters, of Excel
	ratioFrom = 16 << 20
)

// Format is a kind of file.
type Format string

const (
	XLSX Format = "xlsx"
	CSV  Format = "csv"
)

// MIME is the media type of such a file.
func (f Format) MIME() string {
	if f == XLSX {
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	}
	return "text/csv"
}

// defuse keeps a spreadsheet program from running a text as a formula. The full
// width signs are taken for formulas by Chinese and Japanese Excel.
func defuse(s string) string {
	if dangerous(s) {
		return "'" + s
	}
	return s
}

func dangerous(s string) bool {
	return s != "" && (strings.IndexByte("=+-@\t\r\n", s[0]) >= 0 ||
		strings.HasPrefix(s, "＝") || strings.HasPrefix(s, "＋") || strings.HasPrefix(s, "－") || strings.HasPrefix(s, "＠"))
}

// Undefused returns the text as it was before [Writer] defused it, for who
// imports a table that was exported here.
func Undefused(s string) string {
	if rest, ok := strings.CutPrefix(s, "'"); ok && dangerous(rest) {
		return rest
	}
	return s
}
