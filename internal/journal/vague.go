package journal

import (
	"regexp"
	"strings"
	"unicode"
)

// Vague reports what a follow-up record lacks to be of use to the next reader
// (FLW-3): locale keys journal.vague.<what>, in the order they should be asked
// for. nil: the record says something. It judges form, not truth: a stock
// phrase on its own ("已处理", "客户满意") is vague, the same phrase beside a fact
// (a number, a time, a name of a thing done) is not.
func Vague(body string) []string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, body)
	rest := stock.ReplaceAllString(text, "")
	n := len([]rune(rest))
	if n >= 8 || n >= 4 && fact.MatchString(rest) {
		return nil
	}
	if rest == text && len([]rune(text)) >= 12 {
		return nil
	}
	lacks := []string{"journal.vague.what"}
	if !strings.ContainsAny(text, "客户他她您王李张刘陈杨黄赵周吴") {
		lacks = append(lacks, "journal.vague.customer")
	}
	return append(lacks, "journal.vague.next")
}

// stock phrases carry no information of their own.
var stock = regexp.MustCompile(`(已经?|正在|将|会|请|再|后续|继续|及时|尽快|都|全部|均)|(处理|解决|跟进|联系|沟通|回复|回访|答复|反馈|安排|完成|办理|确认|告知|协调|核实|转交|上报|记录|搞定|弄好|ok|done)(了|好|中|完成|完毕|过|妥当|一下|结束)*|(客户|对方|用户|他|她)?(表示|说|很|比较|非常|还算|基本)*(满意|认可|理解|同意|知道|知晓|接受|没问题|无异议|无问题|感谢)(了)?|(客户|对方|用户)|(情况|问题|事情|此事|该问题)(已)?(正常|属实|了解|清楚)?|(无|没有|暂无|没|有|是|的|好|嗯|收到|同上|如题|略|正常|一切)`)

var fact = regexp.MustCompile(`[0-9０-９a-z]|[一二三四五六七八九十两]+[点号日月天时分个台次件条元]|更换|换|退|寄|补发|维修|重启|升级|安装|上门|赔|道歉|发票|合同|订单|密码|账号|快递|物流|主板|电源|版本|软件|配件|截图|邮件|视频|远程`)
