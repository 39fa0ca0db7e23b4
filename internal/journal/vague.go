package journal

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Vague reports what a follow-up record lacks to be of use to the next reader
// (FLW-3): locale keys journal.vague.<what>, in the order they should be asked
// for. nil: the record says something.
//
// It judges form, not truth. What every record could say (已处理, 客户满意, 持续跟进)
// is taken away word by word; what is left are the specifics: what was done to
// what, who said what, when it goes on. A fact (a number, a time, somebody by
// name) weighs as much as several words. The bar grows with the length, so that
// a long text of nothing does not pass by a word or two that the lists do not
// know. How well it judges is measured with 300 records by a test.
func Vague(body string) []string {
	text := strings.ToLower(strings.TrimSpace(body))
	rest, all := specifics(text)
	weight := rest
	if fact.MatchString(text) {
		weight += 4
	}
	if next.MatchString(text) && rest >= 1 {
		weight += 2
	}
	if weight >= 3+all/8 {
		return nil
	}
	lacks := []string{"journal.vague.what"}
	if !said.MatchString(text) {
		lacks = append(lacks, "journal.vague.customer")
	}
	if !next.MatchString(text) {
		lacks = append(lacks, "journal.vague.next")
	}
	return lacks
}

// specifics counts the characters of text that belong to no stock word, and all
// of them. A word of Latin letters counts two.
func specifics(text string) (rest, all int) {
	words, longest := stock()
	rs := []rune(text)
	for i := 0; i < len(rs); {
		if unicode.IsSpace(rs[i]) || unicode.IsPunct(rs[i]) || unicode.IsSymbol(rs[i]) {
			i++
			continue
		}
		if rs[i] < utf8.RuneSelf && (unicode.IsLetter(rs[i]) || unicode.IsDigit(rs[i])) {
			j := i
			for j < len(rs) && rs[j] < utf8.RuneSelf && (unicode.IsLetter(rs[j]) || unicode.IsDigit(rs[j]) || rs[j] == '-' || rs[j] == '.') {
				j++
			}
			word := strings.Trim(string(rs[i:j]), "-.")
			if all += 2; !words[word] && utf8.RuneCountInString(word) > 1 {
				rest += 2
			}
			i = j
			continue
		}
		n := min(longest, len(rs)-i)
		for n > 0 && !words[string(rs[i:i+n])] {
			n--
		}
		if n == 0 {
			rest, n = rest+1, 1
		}
		all += n
		i += n
	}
	return rest, all
}

var (
	// fact is something only this record can say: an amount, a number, a time of
	// the clock, a day, somebody by name.
	fact = regexp.MustCompile(`[0-9０-９]{2,}|[0-9０-９]\s*[\p{Han}%.:：/-]|[\p{Han}]\s*[0-9０-９]|[a-z]+[0-9]+|[一二三四五六七八九十两几半]+\s*(个|台|件|次|条|元|块|天|周|月|年|点|号|日|分钟|小时|项|箱|包|节|枚|路|人|名|楼|层|折|万|千|百|期)` +
		`|(周|星期|礼拜)[一二三四五六日天]|(下|本|这)(周|月|个月)[一二三四五六日天初中底]?|今晚|今早|明早|明晚|明天|后天|昨天|前天|月底|月初|年底|上午|下午|中午|下班前|半小时` +
		`|[王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛段雷侯龙史陶黎贺顾毛郝龚邵万钱严武戴莫孔汤](总|姐|哥|师傅|经理|主任|主管|女士|先生|老师|医生|科长|部长|老板|工([^作程单具厂]|$))`)
	// said is somebody on the other side who says or wants something.
	said = regexp.MustCompile(`(客户|对方|用户|他|她|先生|女士|总|经理|主任).{0,4}(说|要求|同意|接受|拒绝|反馈|希望|提出|认可|确认|表示|满意|要|想|问|催|投诉|答应|不)|customer|client`)
	// next is how it goes on.
	next = regexp.MustCompile(`明天|明早|明晚|后天|今晚|今天|下周|下月|下次|周[一二三四五六日]|月底|[0-9]+\s*(日|号|点|天|小时|分钟)|之?前|待|等|约|预计|安排|再|将|会|后续|继续|tomorrow|next|will`)
)

// stock returns the words that carry no information of their own.
var stock = sync.OnceValues(func() (map[string]bool, int) {
	words, longest := map[string]bool{}, 0
	for _, w := range strings.Fields(stockWords) {
		words[w] = true
		longest = max(longest, utf8.RuneCountInString(w))
	}
	return words, longest
})

const stockWords = `
的 了 已 已经 在 正在 正 将 会 要 请 让 给 被 把 对 向 与 和 跟 同 及 并 且 也 都 均 就 则 又 还 再 很 较 比较 非常 十分 特别 相当 更 最 太 是 有 无 没 没有 暂 暂无 未 不 并未 为 以 于 由 从 到 至 之 其 该 此 本 这 那 这个 那个 一 一个 一下 一些 某 各 各方 各项 相关 有关 我 我们 我司 我方 我公司 公司 本公司 贵司 您 你 他 她 它 他们 对方 双方 彼此 大家 自己 本人
完 好 完毕 完成 中 过 着 起 来 去 上 下 里 内 外 间 时 时候 后 前 之后 之前 以后 随后 随时 先 然后 最后 最终 目前 当前 现在 现 暂时 近期 最近 后续 继续 持续 及时 尽快 尽早 第一时间 积极 主动 认真 耐心 细致 妥善 合理 有效 圆满 顺利 充分 全面 全部 全程 进一步 逐步 有序 稳步 切实 可行 良好 愉快 顺畅 热情 正常 稳定 复杂 不错 满意 非常满意 好评 一致 高度 重视 高度重视 评价 肯定 认可 支持 理解 谅解 感谢 接受 同意 知道 知晓 知悉 知情 明白 了解 清楚 认同 信任 表扬 赞扬 赞同 表示 表达 认为 觉得 感觉 希望 需要 需 可以 能 能够 可 应该 应 必须 愿意 意愿 意向 意见 意思 异议 兴趣 感兴趣 考虑 看看 看 说 讲 谈 聊 问 答
客户 客人 顾客 用户 消费者 买家 甲方 人员 同事 专人 部门 领导 上级 上面 相关部门 技术 技术部 技术部门 售后 售后部 客服 销售 客户方 各部门 有人 同仁 团队 相关人员 负责人 工作人员 我部
处理 解决 跟进 跟踪 关注 联系 沟通 交流 对接 回复 回访 答复 反馈 反映 反应 安排 办理 落实 确认 告知 通知 说明 解释 协调 协商 协助 配合 核实 核对 核查 查看 检查 排查 排查中 调查 研究 梳理 分析 转交 转 移交 转达 上报 汇报 报告 报 提交 记录 登记 备注 录入 整理 汇总 催 催办 催促 催单 督促 安抚 道歉 致歉 抱歉 歉意 赔礼 搞定 弄好 修复 恢复 恢复正常 测试 调试 操作 搞好 改善 改进 提升 提高 加强 推进 进行 开展 组织 召开 讨论 开会 会议 商议 制定 采取 给予 提供 得到 获得 取得 达成 做 做好 做了 办 弄 搞 保持 维护 服务 指导 帮助 帮 咨询 解答 回答 答疑 来电 来访 致电 去电 打电话 打 电话 打了 微信 短信 邮件 发邮件 发送 发 已发 加 添加 拜访 上门 到访 走访 见面 约 预约 接通 未接通 没接 无人接听 没人接 联系不上 不在 接 挂断 结案 关闭 关单 批示 指示 通知结果 完结 结束 结单 办结 申请 工单 单子 重复 等待 等 待 等候 稍等 请稍等 耐心等待 放心 下次 改天 过几天 晚点 晚些 稍后 回头 有空 空了 等有空 一会 到时 到时候 抽空 择日 改日 
问题 小问题 情况 事情 此事 事 事宜 事项 事件 需求 诉求 要求 请求 困难 难题 现象 状况 状态 进度 进展 结果 方案 解决方案 处理方案 办法 措施 方法 方式 流程 程序 规定 制度 原则 标准 要点 内容 信息 资料 详情 细节 工作 任务 业务 质量 态度 服务态度 情绪 心情 氛围 共识 意见建议 建议 合作 关系 机会 资源 保障 效果 体验 方面 过程 本次 此次 这次 上次 一次 多次 再次 首次 初步 有 属实 如实 按 按照 按规定 按要求 按流程 根据 依据 针对 关于 本着 基于 通过 经 经过 经沟通 经核实 作为 因 因为 由于 所以 因此 故 如 如果 若 如有 任何 其他 其它 别的 什么 没什么 多 少 大 不大 小 新 旧 多少 基本 基本上 大致 应 相应 相关的 一切 所有 同上 同前 略 嗯 好的 收到 已阅 阅 行 可以了 没问题 没问题了 无问题 问题不大 无误 无异常 差不多 马上 立即 立刻 即可 即 只 只是 但 但是 不过 而 而且 以及 或 或者 若干 至上 客户至上 响应 积极响应 
ok done fixed handled processed resolved finished closed called contacted replied customer client satisfied happy follow up followup following issue problem the is was has been are to and a an of with all it now will be we i he she they test yes no none n/a na nothing
`
