package sheet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"

	"github.com/xuri/excelize/v2"
)

func openBytes(b []byte, lim Limits) (*Reader, error) {
	return Open("文件", bytes.NewReader(b), int64(len(b)), lim)
}

// all reads to the end: each row as its number and its cells.
func all(r *Reader) (out []string, err error) {
	for {
		row, n, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, fmt.Sprintf("%d:%s", n, strings.Join(row, "|")))
	}
}

func readAll(b []byte, lim Limits) ([]string, *Reader, error) {
	r, err := openBytes(b, lim)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	out, err := all(r)
	return out, r, err
}

func TestTables(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("name,phone\r\n", 20000) + "张三,13812345678\r\n" // first Chinese letter late
	for _, c := range []struct {
		name  string
		file  []byte
		enc   string
		delim rune
		want  []string
		last  string
	}{
		{name: "plain", file: []byte("姓名,电话\n张三,138\n"), enc: "UTF-8", delim: ',', want: []string{"1:姓名|电话", "2:张三|138"}},
		{name: "byte order mark, CRLF, no last newline", file: []byte("\uFEFF姓名,电话\r\n张三,138"), enc: "UTF-8", delim: ',', want: []string{"1:姓名|电话", "2:张三|138"}},
		{name: "GBK", file: gbk(t, "姓名;电话\n朱镕基;138\n"), enc: "GB18030", delim: ';', want: []string{"1:姓名|电话", "2:朱镕基|138"}},
		{name: "GB18030, four bytes", file: gbk(t, "姓名\t店\n𠮷野家\t一\n"), enc: "GB18030", delim: '\t', want: []string{"1:姓名|店", "2:𠮷野家|一"}},
		{name: "GBK late", file: gbk(t, long), enc: "GB18030", delim: ',', last: "20001:张三|13812345678"},
		{name: "UTF-8 late", file: []byte(long), enc: "UTF-8", delim: ',', last: "20001:张三|13812345678"},
		{name: "UTF-16 little", file: utf16File("姓名\t电话\r\n张三\t138\r\n", binary.LittleEndian), enc: "UTF-16", delim: '\t', want: []string{"1:姓名|电话", "2:张三|138"}},
		{name: "UTF-16 big", file: utf16File("姓名,电话\n𠮷,138\n", binary.BigEndian), enc: "UTF-16", delim: ',', want: []string{"1:姓名|电话", "2:𠮷|138"}},
		{name: "one broken byte", file: []byte(strings.Repeat("张三,北京\n", 30) + "李\xff,上海\n"), enc: "UTF-8", delim: ',', last: "31:李\uFFFD|上海"},
		{name: "quotes", file: []byte("a,b\n\"x,\"\"y\"\"\nz\",\"2\"\n3,4\"5\n"), enc: "UTF-8", delim: ',', want: []string{"1:a|b", "2:x,\"y\"\nz|2", "3:3|4\"5"}},
		{name: "blank lines keep their numbers", file: []byte("a,b\n\n,\n 　,\nc,d\n\n"), enc: "UTF-8", delim: ',', want: []string{"1:a|b", "5:c|d"}},
		{name: "old Mac newlines", file: []byte("a,b\rc,d\r"), enc: "UTF-8", delim: ',', want: []string{"1:a|b", "2:c|d"}},
		{name: "sep line", file: []byte("sep=;\r\na;b,c\r\n"), enc: "UTF-8", delim: ';', want: []string{"2:a|b,c"}},
		{name: "commas in text, semicolons between", file: []byte("name;address;note\nx;1, Road, City;\ny;2, Road, City;z\n"), enc: "UTF-8", delim: ';', want: []string{"1:name|address|note", "2:x|1, Road, City|", "3:y|2, Road, City|z"}},
		{name: "one column", file: []byte("电话\n138\n139\n"), enc: "UTF-8", delim: ',', want: []string{"1:电话", "2:138", "3:139"}},
		{name: "full width stays", file: []byte("１３８,　x　\n"), enc: "UTF-8", delim: ',', want: []string{"1:１３８|　x　"}},
	} {
		got, r, err := readAll(c.file, Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if r.Format() != CSV || r.Encoding() != c.enc || r.Delimiter() != c.delim || len(r.Sheets()) != 0 {
			t.Errorf("%s: %s %s %q", c.name, r.Format(), r.Encoding(), r.Delimiter())
		}
		if c.want != nil && !slices.Equal(got, c.want) || c.last != "" && got[len(got)-1] != c.last {
			t.Errorf("%s: %q", c.name, got[max(0, len(got)-5):])
		}
	}
}

func TestWorkbookCells(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ cell, want string }{
		{`<c r="A1" t="s"><v>0</v></c>`, "张三 & 李四"},
		{`<c r="A1" t="s"><v>1</v></c>`, "粗细"},
		{`<c r="A1" t="s"><v>2</v></c>`, "一\r\n二"},
		{`<c r="A1" t="s"><v> 3 </v></c>`, "東京"},
		{`<c r="A1" t="inlineStr"><is><t xml:space="preserve"> 行 &lt;b&gt; &#24320;&#x53D1; &unknown;</t></is></c>`, " 行 <b> 开发 &unknown;"},
		{`<c r="A1" t="inlineStr"><is><r><t>甲</t></r><r><t><![CDATA[<乙> & &amp;]]></t></r></is></c>`, "甲<乙> & &amp;"},
		{`<c r="A1" t="inlineStr"><is><t>a&amp;lt;<![CDATA[b]]]]><!-- x > y --->c</t></is></c>`, "a&lt;b]]c"},
		{`<c r="A1" t="str"><f>A2&amp;"x>y"</f><v>结果</v></c>`, "结果"},
		{`<c r="A1" t="str"><f>A2</f><v></v></c>`, ""},
		{`<c r="A1" t="b"><v>1</v></c>`, "TRUE"},
		{`<c r="A1" t="e"><v>#N/A</v></c>`, "#N/A"},
		{`<c r="A1" t="d"><v>2026-11-21T09:30:00</v></c>`, "2026-11-21 09:30:00"},
		{`<c r="A1"><v>13812345678</v></c>`, "13812345678"},
		{`<c r="A1"><v>1.3812345678E10</v></c>`, "13812345678"},
		{`<c r="A1"><v>0.30000000000000004</v></c>`, "0.3"},
		{`<c r="A1"><v>-1.5</v></c>`, "-1.5"},
		{`<c r="A1"><v>4.4052418800101E17</v></c>`, "440524188001010000"},
		{`<c r="A1"><v>1E-7</v></c>`, "0.0000001"},
		{`<c r="A1"><v>1E300</v></c>`, "1e+300"},
		{`<c r="A1" s="9"><v>0.15</v></c>`, "0.15"},
		{`<c r="A1" s="1"><v>46347.395833333336</v></c>`, "2026-11-21 09:30:00"},
		{`<c r="A1" s="2"><v>46347</v></c>`, "2026-11-21 00:00:00"},
		{`<c r="A1" s="3"><v>46347</v></c>`, "2026-11-21 00:00:00"},
		{`<c r="A1" s="8"><v>46347</v></c>`, "2026-11-21 00:00:00"},
		{`<c r="A1" s="1"><v>1</v></c>`, "1900-01-01 00:00:00"},
		{`<c r="A1" s="1"><v>61</v></c>`, "1900-03-01 00:00:00"},
		{`<c r="A1" s="1"><v>2958465</v></c>`, "9999-12-31 00:00:00"},
		{`<c r="A1" s="1"><v>2958466</v></c>`, "2958466"},
		{`<c r="A1" s="1"><v>-1</v></c>`, "-1"},
		{`<c r="A1" s="4"><v>755860</v></c>`, "00000755860"},
		{`<c r="A1" s="5"><v>1.5</v></c>`, "36:00:00"},
		{`<c r="A1" s="6"><v>1234.5</v></c>`, "1234.5"},
		{`<c r="A1" s="7"><v>0.39583333333333331</v></c>`, "09:30:00"},
		{`<c r="A1" s="7"><v>46347.395833333336</v></c>`, "2026-11-21 09:30:00"},
		{`<c r="A1" s="10"><v>7</v></c>`, "7"},
		{`<c r="A1" s="99"><v>7</v></c>`, "7"},
		{`<c r="C1"><v>7</v></c>`, "||7"},
		{`<c><v>7</v></c><c/><c><v>8</v></c>`, "7||8"},
		{`<x:c r='B1'><x:v>7</x:v></x:c>`, "|7"},
		{`<c r="A1"><v>7</v></c><c r="XFD1" s="3"/>`, "7"},
	} {
		book := workbookOf(t, parts{
			sheet:   `<?xml version="1.0"?><worksheet xmlns:x="y"><!-- <row> --><sheetData><row r="1">` + c.cell + `</row></sheetData></worksheet>`,
			strings: `<si><t>张三 &amp; 李四</t></si><si><r><rPr><b/></rPr><t>粗</t></r><r><t>细</t></r></si><si><t>一_x000D_` + "\n" + `二</t></si><si><t>東京</t><rPh sb="0" eb="2"><t>トウキョウ</t></rPh></si>`,
		})
		got, _, err := readAll(book, Limits{})
		if c.want == "" {
			if !errors.Is(err, ErrEmpty) {
				t.Errorf("%s: %q, %v", c.cell, got, err)
			}
			continue
		}
		if err != nil || len(got) != 1 || got[0] != "1:"+c.want {
			t.Errorf("%s: %q, %v, want %q", c.cell, got, err, c.want)
		}
	}
}

func TestWorkbook(t *testing.T) {
	t.Parallel()
	row := func(n int, v string) string {
		return fmt.Sprintf(`<row r="%d"><c r="A%d" t="inlineStr"><is><t>%s</t></is></c></row>`, n, n, v)
	}
	sheet := func(rows ...string) string {
		return `<worksheet><sheetData>` + strings.Join(rows, "") + `</sheetData></worksheet>`
	}
	book := workbookOf(t, parts{
		book: `<workbook xmlns:r="r"><workbookPr date1904="1"/><sheets><sheet name="说明 &amp; 封面" r:id="rId1"/><sheet name="图" r:id="rId5"/><sheet name="数据" state="hidden" r:id="rId2"/></sheets></workbook>`,
		more: map[string]string{
			"xl/worksheets/sheet1.xml": sheet(`<row r="1"/>`, row(2, " ")),
			`xl\worksheets\sheet2.xml`: sheet(row(3, "三"), `<row r="4"><c r="A4" s="1"/></row>`, row(7, "七"), `<row><c s="1"><v>0</v></c></row>`),
		},
	})
	got, r, err := readAll(book, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"3:三", "7:七", "8:1904-01-01 00:00:00"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if r.Sheet() != "数据" || !slices.Equal(r.Sheets(), []string{"说明 & 封面", "数据"}) || r.Format() != XLSX {
		t.Errorf("%q of %q", r.Sheet(), r.Sheets())
	}
	for range 3 {
		if err := r.Use("数据"); err != nil {
			t.Fatal(err)
		}
		if got, err := all(r); len(got) != 3 || err != nil {
			t.Errorf("again: %q, %v", got, err)
		}
	}
	if err := r.Use("没有"); !errors.Is(err, ErrNoSheet) {
		t.Error(err)
	}
	if _, _, err := r.Next(); err != io.EOF {
		t.Error(err)
	}
}

func TestExcelFile(t *testing.T) {
	t.Parallel()
	got, _, err := readAll(excelFile(t, 3), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"1:" + strings.Join(customerHeader, "|"),
		"2:KH000001|广州南粤医疗器械第1有限公司|91110000600037341L|张三丰|13800000001|020-86013388|kefu1@example.com|广东省广州市天河区体育东路 1 号|软件和信息技术服务业|重要|2026-01-02 09:30:00|1.5",
	}
	if len(got) != 4 || !slices.Equal(got[:2], want) {
		t.Errorf("%q", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	good := bigWorkbook(t, 50)
	sheet := func(s string) []byte { return workbookOf(t, parts{sheet: s}) }
	many := zipOf(t, func() map[string]string {
		m := map[string]string{}
		for i := range 60000 {
			m[fmt.Sprintf("xl/worksheets/a-rather-long-name-%d", i)] = ""
		}
		return m
	}())
	for _, c := range []struct {
		name string
		file []byte
		lim  Limits
		want error
	}{
		{name: "no byte", want: ErrEmpty},
		{name: "blank lines", file: []byte("\n , ,\n\n"), want: ErrEmpty},
		{name: "byte order mark only", file: []byte("\uFEFF"), want: ErrEmpty},
		{name: "workbook without cells", file: sheet(`<worksheet><sheetData/></worksheet>`), want: ErrEmpty},
		{name: "picture", file: []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), want: ErrNotSheet},
		{name: "photo", file: append([]byte("\xFF\xD8\xFF\xE0"), bytes.Repeat([]byte("ab"), 50)...), want: ErrNotSheet},
		{name: "PDF", file: []byte("%PDF-1.7\n1 0 obj"), want: ErrNotSheet},
		{name: "noise", file: bytes.Repeat([]byte("\x81\x01\xff\x02\x80"), 500), want: ErrNotSheet},
		{name: "no encoding", file: bytes.Repeat([]byte("\xff\x80,"), 500), want: ErrNotSheet},
		{name: "Word document", file: zipOf(t, map[string]string{"word/document.xml": "<document/>"}), want: ErrNotSheet},
		{name: "empty zip", file: zipOf(t, nil), want: ErrNotSheet},
		{name: "binary workbook", file: zipOf(t, map[string]string{"xl/workbook.bin": "x"}), want: ErrOldExcel},
		{name: "old Excel", file: compound("Workbook"), want: ErrOldExcel},
		{name: "old Excel, cut", file: compound("Workbook")[:8], want: ErrOldExcel},
		{name: "old Word", file: compound("WordDocument"), want: ErrNotSheet},
		{name: "password", file: compound("EncryptedPackage"), want: ErrEncrypted},
		{name: "web page", file: []byte("\uFEFF <html><table><tr><td>1</td></tr></table></html>"), want: ErrHTML},
		{name: "XML 2003", file: []byte("<?xml version=\"1.0\"?><Workbook/>"), want: ErrHTML},
		{name: "cut workbook", file: good[:len(good)/2], want: ErrDamaged},
		{name: "cut sheet", file: sheet(`<worksheet><sheetData><row r="1"><c r="A1"><v>1</v>`), want: ErrDamaged},
		{name: "cut after a row", file: sheet(`<worksheet><sheetData><row r="1"><c r="A1"><v>1</v></c></row>`), want: ErrDamaged},
		{name: "text out of the table", file: sheet(`<worksheet><sheetData><row><c t="s"><v>9</v></c></row></sheetData></worksheet>`), want: ErrDamaged},
		{name: "entities", file: sheet(`<!DOCTYPE x [<!ENTITY a "b">]><worksheet><sheetData/></worksheet>`), want: ErrDamaged},
		{name: "endless tag", file: sheet(`<worksheet a="` + strings.Repeat("x", 2<<20) + `"/>`), want: ErrDamaged},
		{name: "bomb by its size", file: bomb(t, 64<<20), lim: Limits{Unpacked: 32 << 20}, want: ErrTooLarge},
		{name: "bomb by its ratio", file: bomb(t, 64<<20), want: ErrTooLarge},
		{name: "bomb of parts", file: many, want: ErrTooLarge},
		{name: "texts", file: bigWorkbook(t, 500), lim: Limits{SharedStrings: 10000}, want: ErrTooLarge},
		{name: "rows, workbook", file: good, lim: Limits{Rows: 49}, want: ErrRows},
		{name: "rows, table", file: []byte("a\nb\nc\n"), lim: Limits{Rows: 2}, want: ErrRows},
		{name: "columns, workbook", file: good, lim: Limits{Columns: 11}, want: ErrColumns},
		{name: "columns, far out", file: sheet(`<worksheet><sheetData><row><c r="ZZZZZZZZZ1"><v>1</v></c></row></sheetData></worksheet>`), want: ErrColumns},
		{name: "columns, table", file: []byte("a,b,c\n"), lim: Limits{Columns: 2}, want: ErrColumns},
		{name: "cell, shared", file: good, lim: Limits{Cell: 10}, want: ErrCell},
		{name: "cell, inline", file: sheet(`<worksheet><sheetData><row><c t="inlineStr"><is><t>` + strings.Repeat("长", maxCell+1) + `</t></is></c></row></sheetData></worksheet>`), want: ErrCell},
		{name: "cell, table", file: []byte("a,b\n" + strings.Repeat("长", maxCell+1)), want: ErrCell},
		{name: "quote never closed", file: []byte("a,\"b\n" + strings.Repeat("x,y\n", 100000)), want: ErrCell},
	} {
		got, _, err := readAll(c.file, c.lim)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %.3q, %v, want %v", c.name, got, err, c.want)
			continue
		}
		f, ok := fault.As(err)
		if !ok {
			t.Errorf("%s: not a fault: %v", c.name, err)
			continue
		}
		for _, l := range i18n.Langs {
			if text := i18n.T(l, f.Key, f.Args...); strings.ContainsAny(text, "⟦{") {
				t.Errorf("%s: %s says %q", c.name, l, text)
			}
		}
	}
	for _, n := range []int{48, 50} { // the limit itself is allowed
		if _, _, err := readAll(bigWorkbook(t, n), Limits{Rows: 50, Columns: 12}); err != nil {
			t.Errorf("%d rows: %v", n, err)
		}
	}
}

// A file damaged anywhere is read or refused with a sentence, never a panic or
// an unexplained error.
func TestDamage(t *testing.T) {
	t.Parallel()
	good := bigWorkbook(t, 20)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		bad := bytes.Clone(good)
		for range 1 + i%3 {
			bad[rnd.IntN(len(bad))] ^= byte(1 + rnd.IntN(255))
		}
		if i%5 == 0 {
			bad = bad[:rnd.IntN(len(bad))]
		}
		_, _, err := readAll(bad, Limits{})
		if _, ok := fault.As(err); err != nil && !ok {
			t.Fatalf("damage %d: %v", i, err)
		}
	}
}

// A text longer than the table's pages, and one that lies across two of them.
func TestTextTable(t *testing.T) {
	t.Parallel()
	var table textTable
	var want []string
	for i := range 40 {
		s := strings.Repeat(string(rune('a'+i%26)), i*3000)
		want = append(want, s)
		table.add([]byte(s))
	}
	for i, s := range want {
		if got, ok := table.get(i); got != s || !ok {
			t.Errorf("text %d: %d bytes, want %d", i, len(got), len(s))
		}
	}
	if _, ok := table.get(len(want)); ok {
		t.Error("a text beyond the last")
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	shanghai := time.FixedZone("CST", 8*3600)
	rows := [][]any{
		{"张三", "=1+1", "+8613812345678", "-5", "@x", "\tx", "＝1+1", "a=b"},
		{1, int64(-7), 2.5, true, nil, time.Date(2026, 11, 21, 9, 30, 0, 0, shanghai), time.Time{}, "end"},
		{" <b> & \"q\" ", "一\r\n二", "_x000D_", "坏\x00\x0b字", "", int64(440524188001010014), time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	want := []string{
		"1:姓名|公式'", "2:张三|'=1+1|'+8613812345678|'-5|'@x|'\tx|'＝1+1|a=b",
		"3:1|-7|2.5|TRUE||2026-11-21 09:30:00||end",
		"4: <b> & \"q\" |一\r\n二|_x000D_|坏字||440524188001010014|1800-01-01 00:00:00",
	}
	for _, format := range []Format{XLSX, CSV} {
		var b bytes.Buffer
		w, err := NewWriter(&b, format, "导入结果")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Header("姓名", "公式'"); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if err := w.Row(r...); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, r, err := readAll(b.Bytes(), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		expect := slices.Clone(want)
		if format == CSV {
			if !bytes.HasPrefix(b.Bytes(), []byte("\uFEFF姓名,")) {
				t.Errorf("no byte order mark: %q", b.Bytes()[:20])
			}
			expect[2] = strings.Replace(expect[2], "TRUE", "true", 1)
		} else if r.Sheet() != "导入结果" {
			t.Errorf("sheet %q", r.Sheet())
		}
		for i := range expect {
			if i >= len(got) || strings.TrimRight(got[i], "|") != expect[i] {
				t.Errorf("%s: row %d: %q, want %q", format, i+1, got[min(i, len(got)-1)], expect[i])
			}
		}
		if format == XLSX { // another reader understands it, too
			f, err := excelize.OpenReader(bytes.NewReader(b.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			rows, err := f.GetRows("导入结果")
			if err != nil || len(rows) != 4 || rows[1][1] != "'=1+1" || rows[2][5] != "2026-11-21 09:30:00" || rows[3][0] != " <b> & \"q\" " {
				t.Errorf("excelize: %q, %v", rows, err)
			}
			f.Close()
		}
	}
	for in, want := range map[string]string{"'=1": "=1", "'x": "'x", "=1": "=1", "": "", "'": "'", "'＋86": "＋86"} {
		if got := Undefused(in); got != want {
			t.Errorf("undefused %q: %q", in, got)
		}
	}
}

func TestWriterSheets(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := NewWriter(&b, XLSX, "工单/2026")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("长", 40)
	for _, name := range []string{"", long, long, `<"&>`} {
		if err := w.Sheet(name); err != nil {
			t.Fatal(err)
		}
		if err := w.Row("x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Row(strings.Repeat("x", 40000)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := openBytes(b.Bytes(), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"工单_2026", "Sheet2", long[:31*3], long[:29*3] + " 2", `<"&>`}
	if !slices.Equal(r.Sheets(), want) || r.Sheet() != "Sheet2" {
		t.Errorf("%q, %q", r.Sheets(), r.Sheet())
	}
	if err := r.Use(`<"&>`); err != nil {
		t.Fatal(err)
	}
	if got, err := all(r); err != nil || len(got) != 2 || len([]rune(got[1])) != 2+maxCell || !strings.HasSuffix(got[1], "…") {
		t.Errorf("long cell: %d rows, %v", len(got), err)
	}
	f, err := excelize.OpenReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !slices.Equal(f.GetSheetList(), want) {
		t.Errorf("excelize: %q", f.GetSheetList())
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriterFails(t *testing.T) {
	t.Parallel()
	for _, format := range []Format{XLSX, CSV} {
		w, err := NewWriter(brokenPipe{}, format, "x")
		for i := 0; err == nil && i < 200000; i++ {
			err = w.Row("张三", i)
		}
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", format, err)
		}
		if w != nil && !errors.Is(w.Close(), io.ErrClosedPipe) {
			t.Errorf("%s: closing hides the error", format)
		}
	}
	if _, err := NewWriter(io.Discard, "ods", "x"); err == nil {
		t.Error("unknown format")
	}
}

// Reading must not hold the sheet: what is live after half of it is measured.
func TestReadingIsFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("writes a large workbook")
	}
	const rows = 30000
	book := bigWorkbook(t, rows)
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	r, err := openBytes(book, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for range rows / 2 {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(live()) - int64(before); grown > 16<<20 {
		t.Errorf("%d MiB held", grown>>20)
	}
	runtime.KeepAlive(book)
	r.Close()
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("a,b\n\"c\"\"d\",e\r\n"))
	f.Add([]byte("sep=;\na;b"))
	f.Add([]byte("\xFF\xFEa\x00,\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = readAll(b, Limits{Rows: 1000, Columns: 50, Cell: 1000})
	})
}

func FuzzSheetXML(f *testing.F) {
	f.Add(`<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>&amp;<![CDATA[x]]></t></is></c></row></sheetData></worksheet>`)
	f.Add(`<a b='>'/><!--x--><?y?>`)
	f.Fuzz(func(t *testing.T, sheet string) {
		_, _, _ = readAll(workbookOf(t, parts{sheet: sheet, strings: sheet, styles: sheet}), Limits{Rows: 1000, Columns: 50, Cell: 1000})
	})
}
