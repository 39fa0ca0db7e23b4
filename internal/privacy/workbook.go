package privacy

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"bihuan/internal/i18n"
	"bihuan/internal/number"

	"github.com/xuri/excelize/v2"
)

// everyRows the watermark is said again between the rows of a sheet.
const everyRows = 25

// workbook makes the file of a disclosure. The watermark says who got it, from
// whom, when and under which number: above the table and again every few rows,
// in the headers of printed pages, and as a picture behind the cells.
func (s *Service) workbook(ctx context.Context, d Disclosure, ids []int64, company string) ([]byte, error) {
	l := d.Lang
	f := excelize.NewFile()
	defer f.Close()
	sheet := i18n.T(l, "privacy.disclosure.sheet")
	if err := f.SetSheetName("Sheet1", sheet); err != nil {
		return nil, fmt.Errorf("privacy: workbook: %w", err)
	}
	day := s.db().Clock().Now().In(number.Zone).Format("2006-01-02")
	mark := i18n.T(l, "privacy.disclosure.watermark", d.Recipient, d.Number, d.AskedByName, day)
	band, err1 := f.NewStyle(&excelize.Style{Font: &excelize.Font{Color: "C0392B", Bold: true}, Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{"FDECEA"}}, Alignment: &excelize.Alignment{WrapText: true, Vertical: "center"}})
	head, err2 := f.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}, Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{"EEF2F7"}}})
	plainStyle, err3 := f.NewStyle(&excelize.Style{NumFmt: 49}) // text
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return nil, fmt.Errorf("privacy: workbook: %w", err)
		}
	}
	width := max(len(d.Fields), 4)
	last, err := excelize.ColumnNumberToName(width)
	if err != nil {
		return nil, fmt.Errorf("privacy: workbook: %w", err)
	}
	at := 0
	say := func(text string, height float64) error {
		at++
		from, to := fmt.Sprintf("A%d", at), fmt.Sprintf("%s%d", last, at)
		if err := f.MergeCell(sheet, from, to); err != nil {
			return err
		}
		if err := f.SetCellStr(sheet, from, text); err != nil {
			return err
		}
		if err := f.SetRowHeight(sheet, at, height); err != nil {
			return err
		}
		return f.SetCellStyle(sheet, from, to, band)
	}
	if err := say(mark, 24); err != nil {
		return nil, fmt.Errorf("privacy: workbook: %w", err)
	}
	if err := say(i18n.T(l, "privacy.disclosure.terms", company, d.Purpose, d.Recipient), 36); err != nil {
		return nil, fmt.Errorf("privacy: workbook: %w", err)
	}
	at++
	for i, c := range d.Fields {
		cell, err := excelize.CoordinatesToCellName(i+1, at)
		if err == nil {
			err = f.SetCellStr(sheet, cell, i18n.T(l, "customer.disclosure."+c))
		}
		if err == nil {
			err = f.SetCellStyle(sheet, cell, cell, head)
		}
		if err != nil {
			return nil, fmt.Errorf("privacy: workbook: %w", err)
		}
	}
	n := 0
	_, err = s.Rooms.Customers.Disclose(ctx, s.db().Read(), ids, d.Fields, l, func(values []any) error {
		if n > 0 && n%everyRows == 0 {
			if err := say(mark, 18); err != nil {
				return err
			}
		}
		n++
		at++
		for i, v := range values {
			cell, err := excelize.CoordinatesToCellName(i+1, at)
			if err == nil {
				err = f.SetCellStr(sheet, cell, defused(fmt.Sprint(v)))
			}
			if err == nil {
				err = f.SetCellStyle(sheet, cell, cell, plainStyle)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = say(mark, 18)
	}
	if err == nil {
		err = f.SetColWidth(sheet, "A", last, 20)
	}
	if err == nil {
		err = f.SetPanes(sheet, &excelize.Panes{Freeze: true, YSplit: 3, TopLeftCell: "A4", ActivePane: "bottomLeft"})
	}
	if err == nil {
		short := strings.ReplaceAll(mark, "&", "&&")
		err = f.SetHeaderFooter(sheet, &excelize.HeaderFooterOptions{OddHeader: "&C" + limit(short, 200), OddFooter: "&L" + d.Number + " " + day + "&R&P / &N"})
	}
	if err == nil {
		var pic []byte
		if pic, err = stamp(d.Number + "  " + day); err == nil {
			err = f.SetSheetBackgroundFromBytes(sheet, ".png", pic)
		}
	}
	if err == nil {
		err = f.SetDocProps(&excelize.DocProperties{Creator: company, Title: d.Number, Description: mark})
	}
	var out bytes.Buffer
	if err == nil {
		err = f.Write(&out)
	}
	if err != nil {
		return nil, fmt.Errorf("privacy: workbook: %w", err)
	}
	return out.Bytes(), nil
}

// defused keeps a spreadsheet program from running a text as a formula.
func defused(s string) string {
	if s != "" && strings.ContainsRune("=+-@＝＋－＠\t\r", []rune(s)[0]) {
		return "'" + s
	}
	return s
}

func limit(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// glyphs are the digits and letters a stamp is made of, 5 by 7 points, a byte a
// row. There is no font of Chinese characters in the program.
var glyphs = map[rune][7]byte{
	'0': {14, 17, 19, 21, 25, 17, 14}, '1': {4, 12, 4, 4, 4, 4, 14}, '2': {14, 17, 1, 6, 8, 16, 31}, '3': {31, 2, 4, 2, 1, 17, 14}, '4': {2, 6, 10, 18, 31, 2, 2},
	'5': {31, 16, 30, 1, 1, 17, 14}, '6': {6, 8, 16, 30, 17, 17, 14}, '7': {31, 1, 2, 4, 8, 8, 8}, '8': {14, 17, 17, 14, 17, 17, 14}, '9': {14, 17, 17, 15, 1, 2, 12},
	'P': {30, 17, 17, 30, 16, 16, 16}, 'L': {16, 16, 16, 16, 16, 16, 31}, '-': {0, 0, 0, 31, 0, 0, 0},
}

// stamp is a pale picture of text, tilted, that a spreadsheet program repeats
// behind all cells.
func stamp(text string) ([]byte, error) {
	const zoom, w, h = 2, 420, 260
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	pale := color.NRGBA{0xe6, 0xb8, 0xb2, 0xff}
	x0, y0 := 20, 190
	for _, r := range text {
		g := glyphs[r]
		for y, row := range g {
			for x := range 5 {
				if row&(16>>x) == 0 {
					continue
				}
				for dx := range zoom {
					for dy := range zoom {
						px, py := x0+x*zoom+dx, y0+y*zoom+dy
						img.SetNRGBA(px, py-(px-20)*2/5, pale)
					}
				}
			}
		}
		x0 += 6 * zoom
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
