package sheet

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Fixtures are made here, not kept as binary files, so that what is odd about
// each can be read.

var customerHeader = []string{"客户编号", "客户名称", "统一社会信用代码", "联系人", "手机", "座机", "邮箱", "地址", "行业", "客户等级", "登记日期", "年采购额", "备注"}

func customerRow(i int) []any {
	return []any{fmt.Sprintf("KH%06d", i), fmt.Sprintf("广州南粤医疗器械第%d有限公司", i), "91110000600037341L", "张三丰",
		fmt.Sprintf("138%08d", i), "020-86013388", fmt.Sprintf("kefu%d@example.com", i), "广东省广州市天河区体育东路 1 号",
		[]string{"医药制造业", "软件和信息技术服务业", "批发业"}[i%3], []string{"普通", "重要", "VIP"}[i%3],
		time.Date(2026, 1, 1, 9, 30, 0, 0, time.UTC).AddDate(0, 0, i%300), float64(i) * 1.5, ""}
}

// excelFile is a customer list as Excel would save it: with shared texts and
// real dates, by another writer than ours.
func excelFile(t testing.TB, rows int) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	dateStyle, err := f.NewStyle(&excelize.Style{NumFmt: 22})
	if err != nil {
		t.Fatal(err)
	}
	for c, h := range customerHeader {
		set(t, f, "Sheet1", c, 1, h)
	}
	for i := 1; i <= rows; i++ {
		for c, v := range customerRow(i) {
			set(t, f, "Sheet1", c, i+1, v)
		}
		cell, _ := excelize.CoordinatesToCellName(11, i+1)
		if err := f.SetCellStyle("Sheet1", cell, cell, dateStyle); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func set(t testing.TB, f *excelize.File, sheet string, col, row int, v any) {
	t.Helper()
	cell, err := excelize.CoordinatesToCellName(col+1, row)
	if err == nil {
		err = f.SetCellValue(sheet, cell, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// bigWorkbook writes many rows quickly, with a table of shared texts of which
// most are different, like real customer lists.
func bigWorkbook(t testing.TB, rows int) []byte {
	t.Helper()
	var texts, sheet bytes.Buffer
	n := 0
	text := func(s string) string {
		fmt.Fprintf(&texts, "<si><t>%s</t></si>", s)
		n++
		return fmt.Sprint(n - 1)
	}
	sheet.WriteString(`<worksheet><sheetData>`)
	repeated := map[string]string{}
	for r := 1; r <= rows; r++ {
		fmt.Fprintf(&sheet, `<row r="%d" spans="1:13">`, r)
		for c, v := range customerRow(r) {
			ref := fmt.Sprintf("%c%d", 'A'+c, r)
			switch v := v.(type) {
			case string:
				id, ok := repeated[v]
				if !ok {
					id = text(v)
					if c == 2 || c == 3 || c == 5 || c > 6 {
						repeated[v] = id
					}
				}
				fmt.Fprintf(&sheet, `<c r="%s" s="0" t="s"><v>%s</v></c>`, ref, id)
			case time.Time:
				serial, _ := daySerial(v)
				fmt.Fprintf(&sheet, `<c r="%s" s="1"><v>%v</v></c>`, ref, serial)
			default:
				fmt.Fprintf(&sheet, `<c r="%s" s="0"><v>%v</v></c>`, ref, v)
			}
		}
		sheet.WriteString(`</row>`)
	}
	sheet.WriteString(`</sheetData></worksheet>`)
	return workbookOf(t, parts{sheet: sheet.String(), strings: texts.String()})
}

// parts are the texts of a small workbook; the rest is filled in.
type parts struct {
	sheet, strings, styles, book string
	more                         map[string]string
}

const twoStyles = `<numFmts><numFmt numFmtId="164" formatCode="yyyy&quot;年&quot;m&quot;月&quot;d&quot;日&quot;"/><numFmt numFmtId="165" formatCode="[$-804]aaaa;@"/>` +
	`<numFmt numFmtId="166" formatCode="00000000000"/><numFmt numFmtId="167" formatCode="[h]:mm"/><numFmt numFmtId="168" formatCode="[Red]#,##0.00"/><numFmt numFmtId="169" formatCode="&quot;day&quot; 0"/></numFmts>` +
	`<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>` +
	`<cellXfs><xf numFmtId="0"/><xf numFmtId="22"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="166"/><xf numFmtId="167"/><xf numFmtId="168"/><xf numFmtId="20"/><xf numFmtId="31"/><xf numFmtId="9"/><xf numFmtId="169"/></cellXfs>`

func workbookOf(t testing.TB, p parts) []byte {
	t.Helper()
	if p.book == "" {
		p.book = `<workbook xmlns:r="r"><sheets><sheet name="客户" sheetId="1" r:id="rId1"/></sheets></workbook>`
	}
	if p.styles == "" {
		p.styles = twoStyles
	}
	const rel = `<Relationship Id="%s" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s"/>`
	all := map[string]string{
		"[Content_Types].xml":      `<Types/>`,
		"xl/workbook.xml":          p.book,
		"xl/worksheets/sheet1.xml": p.sheet,
		"xl/sharedStrings.xml":     `<sst count="1">` + p.strings + `</sst>`,
		"xl/styles.xml":            `<styleSheet>` + p.styles + `</styleSheet>`,
		"xl/_rels/workbook.xml.rels": `<Relationships>` + fmt.Sprintf(rel, "rId1", "worksheet", "worksheets/sheet1.xml") +
			fmt.Sprintf(rel, "rId2", "worksheet", "/xl/worksheets/Sheet2.xml") + fmt.Sprintf(rel, "rId3", "sharedStrings", "sharedStrings.xml") +
			fmt.Sprintf(rel, "rId4", "styles", "styles.xml") + fmt.Sprintf(rel, "rId5", "chartsheet", "chartsheets/sheet1.xml") + `</Relationships>`,
	}
	for name, text := range p.more {
		all[name] = text
	}
	return zipOf(t, all)
}

func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bomb is a workbook of a few kilobytes whose sheet unpacks to size bytes.
func bomb(t testing.TB, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	small, err := zip.NewReader(bytes.NewReader(workbookOf(t, parts{})), int64(len(workbookOf(t, parts{}))))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range small.File {
		if f.Name != "xl/worksheets/sheet1.xml" {
			if err := z.Copy(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	w, err := z.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, `<worksheet><sheetData>`)
	blank := []byte(strings.Repeat(" ", 1<<20))
	for range size >> 20 {
		if _, err := w.Write(blank); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gbk(t testing.TB, s string) []byte {
	t.Helper()
	b, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func utf16File(s string, order binary.AppendByteOrder) []byte {
	b := order.AppendUint16(nil, 0xFEFF)
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

// compound is the start of a Microsoft compound file with one named stream in a
// directory a few sectors on.
func compound(stream string) []byte {
	b := make([]byte, 512*6)
	copy(b, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1")
	binary.LittleEndian.PutUint16(b[30:], 9)
	binary.LittleEndian.PutUint32(b[48:], 4)
	for i, u := range utf16.Encode([]rune(stream)) {
		binary.LittleEndian.PutUint16(b[512*5+i*2:], u)
	}
	return b
}
