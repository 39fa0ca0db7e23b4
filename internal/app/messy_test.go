package app_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"html"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/importer/importertest"
	"bihuan/internal/sheet"
)

// upload posts a table like the browser does and returns the answer.
func upload(t *testing.T, h *apptest.House, cookie *http.Cookie, name string, content []byte) *httptest.ResponseRecorder {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	w.WriteField("kind", "customers")
	f, err := w.CreateFormFile("file", name)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(content)
	w.Close()
	r := httptest.NewRequest("POST", "/imports", &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.AddCookie(cookie)
	rec := httptest.NewRecorder()
	h.Router.ServeHTTP(rec, r)
	return rec
}

var input = regexp.MustCompile(`<select[^>]* name="(c\d+)"[^>]*>(?s:.*?)</select>|<input[^>]* name="(header|sheet_was|header_was)"[^>]* value="([^"]*)"`)
var chosen = regexp.MustCompile(`<option[^>]* value="([^"]*)"[^>]* selected|<option[^>]* selected[^>]* value="([^"]*)"`)

// fill reads what the form of the columns would send as it stands.
func fill(page string) url.Values {
	v := url.Values{}
	for _, m := range input.FindAllStringSubmatch(page, -1) {
		if m[1] != "" {
			value := ""
			if c := chosen.FindStringSubmatch(m[0]); c != nil {
				value = c[1] + c[2]
			}
			v.Set(m[1], value)
		} else {
			v.Set(m[2], html.UnescapeString(m[3]))
		}
	}
	return v
}

// TestMessySheet imports a table of five thousand rows with every fault as a
// newcomer does: choose the file, look at the guess, check, start. No row is lost,
// each doubtful one is in the result with a reason, and the work list of
// duplicates finds the planted pairs.
func TestMessySheet(t *testing.T) {
	n := 5000
	if testing.Short() {
		n = 1000
	}
	for _, c := range []struct {
		name string
		rows int
		file func(m *importertest.Messy) ([]byte, error)
	}{{"客户登记表.xlsx", n, (*importertest.Messy).XLSX}, {"客户登记表.csv", n / 4, (*importertest.Messy).CSV}} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			h := apptest.Open(t, apptest.Options{})
			m := importertest.Make(2026, c.rows)
			content, err := c.file(m)
			if err != nil {
				t.Fatal(err)
			}
			cookie := h.Cookie(authz.RoleAdmin)
			begun := time.Now()
			rec := upload(t, h, cookie, c.name, content)
			at := rec.Header().Get("Location")
			if rec.Code != http.StatusSeeOther || !strings.HasPrefix(at, "/imports/") {
				t.Fatalf("upload: %d %s", rec.Code, rec.Body)
			}
			page := h.Call("GET", at, "", cookie).Body.String()
			form := fill(page)
			if form.Get("header") != strconv.Itoa(importertest.FirstLine-1) {
				t.Errorf("headings are guessed in line %s", form.Get("header"))
			}
			var guessed []string
			for i := range len(m.Header) {
				guessed = append(guessed, form.Get("c"+strconv.Itoa(i)))
			}
			if want := []string{"remark", "created", "name", "number", "contact", "phone", "phone", "region", "email", "wechat", "uscc", "level", "source", "registrar"}; !slices.Equal(guessed, want) {
				t.Errorf("columns are guessed as %v", guessed)
			}
			form.Set("twins", "keep")
			form.Set("unknown", "report")
			form.Set("do", "check")
			if rec := h.Call("POST", at+"/setup", form.Encode(), cookie); rec.Code != http.StatusSeeOther {
				t.Fatalf("check: %d %s", rec.Code, rec.Body)
			}
			run := func() {
				t.Helper()
				if _, err := h.Queue.RunDue(ctx); err != nil {
					t.Fatal(err)
				}
			}
			run()
			if rec := h.Call("POST", at+"/start", "x=", cookie); rec.Code != http.StatusSeeOther {
				t.Fatalf("start: %d %s", rec.Code, rec.Body)
			}
			run()
			took := time.Since(begun)
			rec = h.Call("GET", at+"/result", "", cookie)
			if rec.Code != http.StatusOK {
				t.Fatalf("result: %d %s", rec.Code, rec.Body)
			}
			outcome := resultOf(t, rec.Body.Bytes())
			counts := map[string]int{}
			for i, r := range m.Rows {
				line := importertest.FirstLine + i
				blank := strings.TrimSpace(strings.Join(r, "")) == ""
				o, told := outcome[line]
				switch {
				case blank:
				case !told:
					t.Errorf("line %d is lost: %q", line, r)
				default:
					counts[strings.SplitN(o, " ", 2)[0]]++
				}
				if strings.HasSuffix(m.Doubtful[i], "exchanged") && (!strings.HasPrefix(o, "已导入，请留意") || !strings.Contains(o, "填反了")) {
					t.Errorf("line %d (%s): %q", line, m.Doubtful[i], o)
				}
				if fault := m.Doubtful[i]; fault != "" && (!strings.Contains(o, " ") || strings.HasPrefix(o, "已导入 ")) {
					t.Errorf("line %d (%s) is not doubted: %q", line, fault, o)
				}
			}
			t.Logf("%d rows with something in them: %v, in %s", m.Data, counts, took.Round(time.Millisecond))
			var stored int
			if err := h.DB.Read().QueryRow(ctx, `SELECT COUNT(*) FROM customers`).Scan(&stored); err != nil || stored != counts["已导入"]+counts["已导入，请留意"] {
				t.Errorf("%d customers, %v", stored, err)
			}

			// The work list.
			begun = time.Now()
			if err := h.Follower.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			if err := h.Customers.FindPairs(ctx); err != nil {
				t.Fatal(err)
			}
			recall, wrong, report := score(t, h, m)
			t.Logf("pairs in %s: %s", time.Since(begun).Round(time.Millisecond), report)
			if recall < 95 || wrong > 5 {
				t.Errorf("%.1f%% of the planted pairs are found, want 95; %.1f%% of the found ones are false, want at most 5", recall, wrong)
			}
		})
	}
}

// resultOf reads a result file: by line, the result and the reason.
func resultOf(t *testing.T, file []byte) map[int]string {
	t.Helper()
	r, err := sheet.Open("result", bytes.NewReader(file), int64(len(file)), sheet.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[int]string{}
	width := 0
	for {
		row, _, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if width == 0 {
			width = len(row)
			continue
		}
		for len(row) < width {
			row = append(row, "")
		}
		line, _ := strconv.Atoi(row[width-3])
		out[line] = strings.TrimSpace(row[width-2] + " " + row[width-1])
	}
}

// score compares the work list with the truth.
func score(t *testing.T, h *apptest.House, m *importertest.Messy) (recall, wrong float64, report string) {
	t.Helper()
	ctx, admin := context.Background(), h.Actor(authz.RoleAdmin)
	taken := map[string]bool{}
	rows, err := h.DB.Read().Query(ctx, `SELECT number FROM customers`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		taken[n] = true
	}
	planted, ways := map[string]string{}, map[string][2]int{}
	key := func(a, b string) string { return min(a, b) + " " + max(a, b) }
	for _, p := range m.Pairs {
		if taken[p.A] && taken[p.B] {
			planted[key(p.A, p.B)] = p.Way
			w := ways[p.Way]
			w[1]++
			ways[p.Way] = w
		}
	}
	if len(planted) < len(m.Pairs)*95/100 {
		t.Errorf("only %d of %d planted pairs were taken in", len(planted), len(m.Pairs))
	}
	found, falseOnes := 0, 0
	var examples []string
	for after := ""; ; {
		p, err := h.Customers.Pairs(ctx, admin, customer.PairFilter{After: after, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range p.Rows {
			way, ok := planted[key(x.A.Number, x.B.Number)]
			if !ok {
				falseOnes++
				if len(examples) < 8 {
					examples = append(examples, fmt.Sprintf("%s / %s %v %d", x.A.Name, x.B.Name, x.Reasons, x.Score))
				}
				continue
			}
			found++
			w := ways[way]
			w[0]++
			ways[way] = w
		}
		if after = p.Next; after == "" {
			break
		}
	}
	recall = 100 * float64(found) / float64(len(planted))
	wrong = 100 * float64(falseOnes) / float64(max(1, found+falseOnes))
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d planted found (%.1f%%), %d false (%.1f%%)", found, len(planted), recall, falseOnes, wrong)
	for _, w := range slices.Sorted(maps.Keys(ways)) {
		fmt.Fprintf(&b, "\n  %-30s %d/%d", w, ways[w][0], ways[w][1])
	}
	for _, e := range examples {
		b.WriteString("\n  false: " + e)
	}
	return recall, wrong, b.String()
}

// TestZipBomb: a workbook that unpacks to gigabytes is refused at the field, with
// a sentence.
func TestZipBomb(t *testing.T) {
	h := apptest.Open(t, apptest.Options{})
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	part := func(name, content string) {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, content)
	}
	part("[Content_Types].xml", `<Types/>`)
	part("xl/workbook.xml", `<workbook xmlns:r="r"><sheets><sheet name="a" r:id="rId1"/></sheets></workbook>`)
	part("xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="rId1" Type="http://x/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`)
	f, err := z.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, `<worksheet><sheetData>`)
	zeros := bytes.Repeat([]byte(" "), 1<<20)
	for range 600 {
		f.Write(zeros)
	}
	z.Close()
	rec := upload(t, h, h.Cookie(authz.RoleAdmin), "炸弹.xlsx", b.Bytes())
	page := rec.Body.String()
	i := strings.Index(page, `id="f-file`)
	if rec.Code != http.StatusUnprocessableEntity || i < 0 || !strings.Contains(page, "aria-invalid") || !strings.Contains(page, "解压") {
		t.Errorf("%d: %s", rec.Code, page[:min(len(page), 3000)])
	}
}
