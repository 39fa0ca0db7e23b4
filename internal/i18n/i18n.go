// Package i18n holds every sentence the product says. Keys are flat words with
// dots (ticket.state.pending); each area has one file per language, and the
// Chinese file is the source. A test keeps both languages complete.
package i18n

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
)

// Lang is a language the product speaks.
type Lang string

const (
	ZhCN Lang = "zh-CN" // the first language of every screen
	En   Lang = "en"
)

// Langs lists the languages, the source first.
var Langs = []Lang{ZhCN, En}

//go:embed locales
var files embed.FS

var texts = load()

func load() map[Lang]map[string]string {
	all := map[Lang]map[string]string{}
	for _, l := range Langs {
		all[l] = map[string]string{}
		names, err := fs.Glob(files, "locales/"+string(l)+"/*.yaml")
		if err != nil {
			panic(err)
		}
		for _, name := range names {
			raw, err := files.ReadFile(name)
			if err != nil {
				panic(err)
			}
			m, err := yaml.Parser().Unmarshal(raw)
			if err != nil {
				panic(fmt.Sprintf("i18n: %s: %v", name, err))
			}
			for k, v := range m {
				if _, twice := all[l][k]; twice {
					panic(fmt.Sprintf("i18n: %s: key %s twice (%s)", l, k, path.Base(name)))
				}
				all[l][k] = fmt.Sprint(v)
			}
		}
	}
	return all
}

// Parse returns the language named by s ("en", "zh", "zh-CN,zh;q=0.9"), or ok
// false when it is none of ours.
func Parse(s string) (l Lang, ok bool) {
	for _, part := range strings.Split(s, ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch base, _, _ := strings.Cut(strings.ToLower(tag), "-"); base {
		case "zh":
			return ZhCN, true
		case "en":
			return En, true
		}
	}
	return ZhCN, false
}

// T returns the sentence behind key with {0}, {1} … replaced by args. An arg of
// type [Key] is translated itself; a time is not formatted here (format it
// first). A missing key comes back as ⟦key⟧, which the tests look for.
func T(l Lang, key string, args ...any) string {
	s, ok := renamed(l, key)
	if !ok {
		s, ok = texts[l][key]
	}
	if !ok {
		if s, ok = texts[ZhCN][key]; !ok {
			return "⟦" + key + "⟧"
		}
	}
	if len(args) == 0 || !strings.Contains(s, "{") {
		return s
	}
	for i, a := range args {
		var v string
		switch a := a.(type) {
		case string:
			v = a
		case Key:
			v = T(l, string(a))
		case int:
			v = strconv.Itoa(a)
		case int64:
			v = strconv.FormatInt(a, 10)
		case time.Duration:
			v = Duration(l, a)
		default:
			v = fmt.Sprint(a)
		}
		s = strings.ReplaceAll(s, "{"+strconv.Itoa(i)+"}", v)
	}
	return s
}

// names are what this company calls some things; nil: as the product does.
var names atomic.Pointer[map[Lang]map[string]string]

// Rename makes T say words in place of the product's own for some keys, until
// it is called again. It is for names an administrator gives (of customer
// levels), which are shown in many places; templates that name such a key
// literally have been translated before and do not follow.
func Rename(words map[Lang]map[string]string) {
	empty := true
	for _, w := range words {
		empty = empty && len(w) == 0
	}
	if empty {
		names.Store(nil)
		return
	}
	names.Store(&words)
}

func renamed(l Lang, key string) (string, bool) {
	m := names.Load()
	if m == nil {
		return "", false
	}
	s, ok := (*m)[l][key]
	return s, ok
}

// Key is an argument that is itself to be translated.
type Key string

// Has reports whether key has a text in the source language.
func Has(key string) bool { _, ok := texts[ZhCN][key]; return ok }

// Keys returns all keys of l in order.
func Keys(l Lang) []string {
	ks := make([]string, 0, len(texts[l]))
	for k := range texts[l] {
		ks = append(ks, k)
	}
	sort.Strings(ks)
	return ks
}

// Duration says d in words, rounded to the two largest units: 2 天 3 小时.
func Duration(l Lang, d time.Duration) string {
	if d < 0 {
		d = -d
	}
	zh := l == ZhCN
	m := int(d.Round(time.Minute) / time.Minute)
	days, hours, mins := m/1440, m/60%24, m%60
	var parts []string
	add := func(n int, z, e string) {
		if n > 0 && len(parts) < 2 {
			if zh {
				parts = append(parts, fmt.Sprintf("%d %s", n, z))
			} else {
				parts = append(parts, fmt.Sprintf("%d %s", n, e))
			}
		}
	}
	add(days, "天", "d")
	add(hours, "小时", "h")
	add(mins, "分钟", "min")
	if len(parts) == 0 {
		if zh {
			return "不到 1 分钟"
		}
		return "under a minute"
	}
	return strings.Join(parts, " ")
}
