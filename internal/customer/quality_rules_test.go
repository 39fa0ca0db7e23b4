package customer

import (
	"slices"
	"testing"
	"time"

	"bihuan/internal/number"
)

// RPT-8: what each measure finds, and that it finds nothing in a good profile.
func TestExamine(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)
	good := func() profile {
		return profile{id: 1, department: 1, owner: 3, ownerActive: true, kind: Company, name: "广州南粤医疗器械有限公司", uscc: "91110000600037341L", industry: "C35", region: "广东 广州", source: "phone", stage: Active,
			first: now.Add(-30 * time.Hour), created: now.Add(-28 * time.Hour), updated: now.Add(-28 * time.Hour), activity: now.Add(-28 * time.Hour), verify: now.Add(time.Hour),
			contacts: []reach{{name: "黎嘉敏", phone: "020-86013388", masked: "020-****3388"}}}
	}
	for _, c := range []struct {
		name   string
		change func(p *profile)
		want   []string
	}{
		{"good", func(p *profile) {}, nil},
		{"no code", func(p *profile) { p.uscc = "" }, []string{"no_uscc"}},
		{"a person needs neither code nor industry", func(p *profile) { p.kind, p.uscc, p.industry = Person, "", "" }, nil},
		{"bare", func(p *profile) { p.industry, p.region, p.source, p.owner, p.contacts = "", "", "", 0, nil }, []string{"no_industry", "no_contact", "no_region", "no_source", "no_owner"}},
		{"contact without phone", func(p *profile) { p.contacts = []reach{{name: "黎嘉敏", email: "l***@x.cn"}} }, []string{"no_phone"}},
		{"required field", func(p *profile) { p.lacks = true }, []string{"no_required"}},
		{"bad code", func(p *profile) { p.uscc = "91110000600037341N" }, []string{"bad_uscc"}},
		{"hollow name", func(p *profile) { p.name = "测试123" }, []string{"placeholder"}},
		{"hollow contact", func(p *profile) { p.contacts[0].name = "某某" }, []string{"placeholder"}},
		{"made up number", func(p *profile) { p.contacts[0].phone, p.contacts[0].masked = "13888888888", "138****8888" }, []string{"bad_phone"}},
		{"no number", func(p *profile) { p.contacts[0].phone, p.contacts[0].masked = "没有", "**" }, []string{"bad_phone"}},
		{"unallotted", func(p *profile) { p.contacts[0].phone, p.contacts[0].masked = "12812345678", "128****5678" }, []string{"bad_phone"}},
		{"unreachable", func(p *profile) { p.contacts[0].unreachable = true }, []string{"unreachable"}},
		{"to be verified", func(p *profile) { p.verify = now.Add(-time.Hour) }, []string{"unverified"}},
		{"never to be verified", func(p *profile) { p.verify, p.created, p.first = time.Time{}, now.Add(-200*24*time.Hour), time.Time{} }, nil},
		{"twin", func(p *profile) { p.twin = true }, []string{"duplicate"}},
		{"person with code", func(p *profile) { p.kind = Person }, []string{"person_uscc"}},
		{"another province", func(p *profile) { p.region = "浙江 杭州" }, []string{"region_phone"}},
		{"another town alone", func(p *profile) { p.region = "成都" }, []string{"region_phone"}},
		{"same province, another town", func(p *profile) { p.region = "广东 深圳" }, nil},
		{"unknown region", func(p *profile) { p.region = "南粤" }, nil},
		{"loop", func(p *profile) { p.loop = true }, []string{"parent_loop"}},
		{"lost with open ticket", func(p *profile) { p.stage, p.open = Lost, 1 }, []string{"stage_tickets"}},
		{"active with open ticket", func(p *profile) { p.open = 1 }, nil},
		{"owner has left", func(p *profile) { p.ownerActive = false }, []string{"owner_left"}},
		{"stale", func(p *profile) {
			p.updated, p.activity, p.verified = now.Add(-181*24*time.Hour), now.Add(-300*24*time.Hour), time.Time{}
		}, []string{"stale"}},
		{"confirmed lately", func(p *profile) {
			p.updated, p.activity, p.verified = now.Add(-181*24*time.Hour), now.Add(-300*24*time.Hour), now.Add(-time.Hour)
		}, nil},
		{"late", func(p *profile) { p.first = p.created.Add(-25 * time.Hour) }, []string{"late_entry"}},
		{"late, but imported", func(p *profile) { p.first, p.imported = p.created.Add(-25*time.Hour), true }, nil},
		{"the day before", func(p *profile) { p.first = time.Date(2026, 11, 19, 0, 0, 0, 0, number.Zone) }, nil},
		{"plan overdue", func(p *profile) { p.planned = now.Add(-time.Minute) }, []string{"plan_overdue"}},
	} {
		p := good()
		c.change(&p)
		mask := examine(p, now)
		var got []string
		dims := map[Dimension]bool{}
		for _, m := range Measures {
			if mask&(1<<m.ID) != 0 {
				got = append(got, m.Code)
				dims[m.Of] = true
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		for i, d := range Dimensions {
			if mask&(1<<(i+1)) != 0 != dims[d] {
				t.Errorf("%s: dimension %s is %v", c.name, d, !dims[d])
			}
		}
	}
}

func TestMeasures(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for _, m := range Measures {
		if seen[m.ID] || m.ID < 5 || m.ID > 62 || !slices.Contains(Dimensions, m.Of) {
			t.Errorf("measure %+v", m)
		}
		seen[m.ID] = true
		if got, ok := MeasureByCode(m.Code); !ok || got != m {
			t.Errorf("%s: %+v", m.Code, got)
		}
	}
	if _, ok := MeasureByCode("x"); ok {
		t.Error("x is a measure")
	}
}
