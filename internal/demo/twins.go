package demo

import (
	"context"
	"strings"
	"time"

	"bihuan/internal/cnid"
	"bihuan/internal/customer"
)

// again is how many companies are registered a second time.
const again = 4

// twins lets colleagues register a few companies a second time, with the name
// written as one says it: the work list of duplicates has something to show.
func (l *life) twins() {
	for i := range again {
		l.at(l.awake(l.end.Add(-time.Duration(9-2*i)*24*time.Hour)), func(ctx context.Context) error { return passOver(l.twin(ctx, i)) })
	}
}

func (l *life) twin(ctx context.Context, i int) error {
	for _, id := range l.customers[min(len(l.customers), 7*i):] {
		by, err := l.keeper(ctx, id)
		if err != nil {
			return err
		}
		c, err := l.Customers.Get(ctx, customer.View(by), id)
		if err != nil {
			return err
		}
		core, place := cnid.CompanyCore(c.Name)
		if c.Type != customer.Company || len([]rune(core)) < 4 || len(c.Contacts) == 0 {
			continue
		}
		name := core
		switch {
		case i == 1 && place.City != "":
			name = core + "（" + place.City + "）有限公司"
		case i == 2:
			name = strings.Replace(c.Name, "有限公司", "股份有限公司", 1)
		}
		_, err = l.Customers.Create(ctx, by, customer.Input{Type: customer.Company, Name: name, Source: "phone", DepartmentID: c.DepartmentID, Demo: true,
			Contacts: []customer.ContactInput{{Name: c.Contacts[0].Name, Phone: cnid.SamplePhone(98000000 + i), Primary: true}}})
		return err
	}
	return nil
}
