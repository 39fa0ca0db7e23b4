package demo

import (
	"context"
	"fmt"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

// ownFields are what this company keeps beside the product's own fields.
var ownFields = []field.Field{
	{Object: field.Customer, Code: "annual_output", Kind: field.Money, Label: field.Words{Zh: "年采购额", En: "Yearly purchases"}, Help: field.Words{Zh: "上一年度，含税", En: "Last year, with tax"}, Types: []string{"company"}, Filterable: true},
	{Object: field.Customer, Code: "payment", Kind: field.Choice, Label: field.Words{Zh: "结算方式", En: "Payment"}, Filterable: true, Default: "cash",
		Options: []field.Choosable{{Code: "cash", Zh: "款到发货", En: "In advance"}, {Code: "monthly", Zh: "月结 30 天", En: "30 days net"}, {Code: "quarterly", Zh: "季度结算", En: "Quarterly"}}},
	{Object: field.Customer, Code: "products", Kind: field.Multi, Label: field.Words{Zh: "使用产品", En: "Products in use"}, Searchable: true, Filterable: true,
		Options: []field.Choosable{{Code: "analyser", Zh: "检测仪", En: "Analysers"}, {Code: "controller", Zh: "控制器", En: "Controllers"}, {Code: "software", Zh: "管理软件", En: "Software"}, {Code: "spare", Zh: "备件耗材", En: "Spare parts"}}},
	{Object: field.Customer, Code: "contract_until", Kind: field.Date, Label: field.Words{Zh: "服务合同到期", En: "Service contract until"}, Types: []string{"company"}, Filterable: true},
	{Object: field.Customer, Code: "reference", Kind: field.Bool, Label: field.Words{Zh: "可作案例", En: "May be a reference"}, Filterable: true},
	{Object: field.Contact, Code: "best_time", Kind: field.Choice, Label: field.Words{Zh: "方便联系的时间", En: "Best time to call"},
		Options: []field.Choosable{{Code: "morning", Zh: "上午", En: "Morning"}, {Code: "afternoon", Zh: "下午", En: "Afternoon"}, {Code: "evening", Zh: "下班后", En: "After work"}}},
	{Object: field.Ticket, Code: "serial", Kind: field.Text, Label: field.Words{Zh: "设备序列号", En: "Serial number"}, Help: field.Words{Zh: "机身铭牌上以 SN 开头的一串", En: "On the plate, beginning with SN"}, Searchable: true, Filterable: true,
		Types: []string{"after_sales", "complaint"}},
	{Object: field.Ticket, Code: "in_warranty", Kind: field.Bool, Label: field.Words{Zh: "保修期内", En: "Under warranty"}, Types: []string{"after_sales"}, Filterable: true},
	{Object: field.Ticket, Code: "visit_on", Kind: field.Date, Label: field.Words{Zh: "约定上门日期", En: "Visit agreed for"}, Types: []string{"after_sales"}, Filterable: true},
}

// defineFields adds the fields, and remembers them by object and code.
func (l *life) defineFields(ctx context.Context, admin authz.Actor) error {
	l.fields = map[string]int64{}
	for _, f := range ownFields {
		f.Demo = true
		_, ok, err := l.Customers.Fields().Def(ctx, nil, i18n.ZhCN, f.Object, f.Code)
		if err != nil {
			return err
		}
		if ok { // the company has one of that code already
			continue
		}
		id, err := l.Customers.Fields().Save(ctx, admin, f)
		if fault.Is(err, fault.Invalid) { // or of that name
			l.skipped++
			continue
		}
		if err != nil {
			return err
		}
		l.fields[string(f.Object)+"."+f.Code] = id
	}
	return nil
}

// own fills fields by code, as far as they are there.
func (l *life) own(obj field.Object, values map[string]string) field.Input {
	in := field.Input{}
	for code, v := range values {
		if id := l.fields[string(obj)+"."+code]; id != 0 && v != "" {
			in[id] = []string{v}
		}
	}
	return in
}

// ownOfCustomer gives customer n his fields. It depends on n alone, so that the
// rest of the story stays what it is.
func (l *life) ownOfCustomer(n int, in *customer.Input) {
	values := map[string]string{"payment": []string{"cash", "monthly", "quarterly"}[n*7%3], "reference": []string{"", "1", "0"}[n*5%3],
		"products": []string{"analyser", "analyser,spare", "controller,software", "software", "", "analyser,controller,spare"}[n*11%6]}
	if in.Type == customer.Company {
		values["annual_output"] = fmt.Sprint(20_000 + n*7919%980_000)
		if n%4 != 1 {
			values["contract_until"] = l.end.Add(time.Duration(n*37%500-90) * 24 * time.Hour).Format("2006-01-02")
		}
	}
	in.Fields = l.own(field.Customer, values)
	for i := range in.Contacts {
		in.Contacts[i].Fields = l.own(field.Contact, map[string]string{"best_time": []string{"morning", "", "afternoon", "evening", ""}[(n+i)%5]})
	}
}

// ownOfTicket gives the n-th ticket its fields.
func (l *life) ownOfTicket(n int, typ string, now time.Time) field.Input {
	values := map[string]string{}
	if typ == "after_sales" || typ == "complaint" && n%2 == 0 {
		values["serial"] = fmt.Sprintf("SN%06d", 100_000+n*7919%900_000)
	}
	if typ == "after_sales" {
		values["in_warranty"] = []string{"1", "1", "0", ""}[n%4]
		if n%3 == 0 {
			values["visit_on"] = now.Add(time.Duration(1+n%5) * 24 * time.Hour).Format("2006-01-02")
		}
	}
	return l.own(field.Ticket, values)
}
