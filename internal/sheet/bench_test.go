package sheet

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/xuri/excelize/v2"
)

const benchRows = 100_000

func drain(b *testing.B, file []byte) {
	b.Helper()
	r, err := openBytes(file, Limits{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	n := 0
	for {
		_, _, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		n++
		if n == benchRows/2 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MiB")
		}
	}
	if n != benchRows {
		b.Fatalf("%d rows", n)
	}
}

// 100,000 customers of 13 columns each.
func BenchmarkReadXLSX(b *testing.B) {
	file := bigWorkbook(b, benchRows)
	runtime.GC()
	b.ReportMetric(float64(len(file))/(1<<20), "file-MiB")
	for b.Loop() {
		drain(b, file)
	}
}

func BenchmarkReadCSV(b *testing.B) {
	var buf bytes.Buffer
	write(b, &buf, CSV)
	file := gbk(b, buf.String()[3:])
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		drain(b, file)
	}
}

// For comparison: the streaming reader of a well-known library, on as many rows.
func BenchmarkReadExcelize(b *testing.B) {
	var buf bytes.Buffer
	write(b, &buf, XLSX)
	file := buf.Bytes()
	for b.Loop() {
		f, err := excelize.OpenReader(bytes.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		rows, err := f.Rows("客户")
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			if _, err := rows.Columns(); err != nil {
				b.Fatal(err)
			}
		}
		rows.Close()
		f.Close()
	}
}

func write(b *testing.B, w io.Writer, format Format) {
	b.Helper()
	out, err := NewWriter(w, format, "客户")
	for i := 0; err == nil && i < benchRows; i++ {
		err = out.Row(customerRow(i)...)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkWriteXLSX(b *testing.B) {
	for b.Loop() {
		write(b, io.Discard, XLSX)
	}
}

func BenchmarkWriteCSV(b *testing.B) {
	for b.Loop() {
		write(b, io.Discard, CSV)
	}
}
