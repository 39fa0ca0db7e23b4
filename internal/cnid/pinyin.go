package cnid

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mozillazg/go-pinyin"
	"golang.org/x/text/unicode/norm"
)

// Pinyin returns s in pinyin without tones, in lower case and without gaps:
// 广州南粤医疗 is guangzhounanyueyiliao. ü is v, as on a keyboard. Latin letters and
// digits stay, everything else is left out. Letters with several readings are
// read as they are in names of people, places and companies.
func Pinyin(s string) string {
	var b strings.Builder
	for _, y := range syllables(s) {
		b.WriteString(y)
	}
	return b.String()
}

// Initials returns the first letters (首字母) of s: 广州南粤医疗 is gznyyl. Latin
// letters and digits stay whole.
func Initials(s string) string {
	var b strings.Builder
	for _, y := range syllables(s) {
		b.WriteByte(y[0])
	}
	return b.String()
}

// syllables returns one syllable per Chinese letter and one entry per Latin
// letter or digit; each is plain ASCII and not empty.
func syllables(s string) []string {
	runes := []rune(strings.ToLower(norm.NFKC.String(s)))
	out := make([]string, 0, len(runes))
	i := 0
	if looksPersonal(runes) {
		for _, n := range []int{2, 1} {
			if n < len(runes) && len(runes) <= n+2 {
				if y, ok := surnames[string(runes[:n])]; ok && !startsWord(runes) {
					out = append(out, strings.Fields(y)...)
					i = n
					break
				}
			}
		}
	}
	return spell(out, runes[i:])
}

// Syllables is the reading of a plain text: one syllable for each Chinese letter,
// read as in words, not as in names of people.
func Syllables(s string) []string {
	runes := []rune(strings.ToLower(norm.NFKC.String(s)))
	return spell(make([]string, 0, len(runes)), runes)
}

func spell(out []string, runes []rune) []string {
	i := 0
	for i < len(runes) {
		if y, n := wordAt(runes[i:]); n > 0 {
			out = append(out, y...)
			i += n
			continue
		}
		r := runes[i]
		i++
		switch {
		case r < utf8.RuneSelf:
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				out = append(out, string(r))
			}
		case unicode.Is(unicode.Han, r):
			if y := reading(r); y != "" {
				out = append(out, y)
			}
		case unicode.IsLetter(r): // é, ü: without their accents
			for _, c := range norm.NFD.String(string(r)) {
				if c >= 'a' && c <= 'z' {
					out = append(out, string(c))
				}
			}
		}
	}
	return out
}

// looksPersonal reports whether s has the length of a Chinese person's name, so
// that its first letters may be a surname with a reading of its own.
func looksPersonal(s []rune) bool {
	if len(s) < 2 || len(s) > 4 {
		return false
	}
	for _, r := range s {
		if !unicode.Is(unicode.Han, r) {
			return false
		}
	}
	return true
}

func startsWord(s []rune) bool { _, n := wordAt(s); return n > 0 }

const longestWord = 4

// wordAt returns the reading of the longest word of the table at the start of s,
// and how many letters it has; 0 when there is none.
func wordAt(s []rune) ([]string, int) {
	if len(s) == 0 || !wordStarts[s[0]] {
		return nil, 0
	}
	for n := min(longestWord, len(s)); n > 1; n-- {
		if y, ok := words[string(s[:n])]; ok {
			return y, n
		}
	}
	return nil, 0
}

// reading returns the usual reading of one Chinese letter without its tone.
func reading(r rune) string {
	if y, ok := letters[r]; ok {
		return y
	}
	y, _, _ := strings.Cut(pinyin.PinyinDict[int(r)], ",")
	var b strings.Builder
	for _, c := range norm.NFD.String(y) {
		switch {
		case c >= 'a' && c <= 'z':
			b.WriteRune(c)
		case c == '\u0308': // the dots of ü, after its u
			u := strings.TrimSuffix(b.String(), "u")
			b.Reset()
			b.WriteString(u + "v")
		}
	}
	return b.String()
}

// letters have another usual reading in names than the dictionary puts first.
var letters = map[rune]string{
	'长': "chang", '都': "du", '佛': "fo", '阚': "kan", '曾': "zeng", '薄': "bo", '浚': "jun", '隗': "wei",
	'沓': "ta", '亓': "qi", '卜': "bu", '嘎': "ga", '邨': "cun", '喆': "zhe", '昇': "sheng", '弘': "hong",
}

// surnames are read so at the start of a person's name.
var surnames = map[string]string{
	"单": "shan", "曾": "zeng", "仇": "qiu", "解": "xie", "区": "ou", "朴": "piao", "查": "zha", "盖": "ge", "任": "ren",
	"宁": "ning", "员": "yun", "缪": "miao", "乜": "nie", "盛": "sheng", "翟": "zhai", "柏": "bai",
	"覃": "qin", "逄": "pang", "繁": "po", "晁": "chao", "种": "chong", "祭": "zhai", "秘": "bi", "牟": "mu", "卜": "bu",
	"燕": "yan", "召": "shao", "句": "gou", "费": "fei", "冼": "xian",
	"那": "na", "尹": "yin", "纪": "ji", "幺": "yao", "都": "du", "石": "shi", "哈": "ha", "应": "ying", "瞿": "qu",
	"尉迟": "yu chi", "万俟": "mo qi", "长孙": "zhang sun", "单于": "chan yu", "澹台": "tan tai", "令狐": "ling hu",
	"尉": "wei", "宿": "su", "沈": "shen", "隗": "wei", "贾": "jia", "藏": "zang", "臧": "zang", "谌": "chen", "佴": "nai",
}

// words keep their reading wherever they stand. A surname is not tried where
// such a word begins, hence also a few plain words (区块, 单位).
var words, wordStarts = wordTable(`
	重庆 chong qing
	重阳 chong yang
	长沙 chang sha
	长城 chang cheng
	长孙 zhang sun
	成长 cheng zhang
	家长 jia zhang
	校长 xiao zhang
	院长 yuan zhang
	店长 dian zhang
	会长 hui zhang
	部长 bu zhang
	厂长 chang zhang
	董事长 dong shi zhang
	生长 sheng zhang
	增长 zeng zhang
	长者 zhang zhe
	银行 yin hang
	行业 hang ye
	商行 shang hang
	车行 che hang
	洋行 yang hang
	琴行 qin hang
	分行 fen hang
	支行 zhi hang
	总行 zong hang
	央行 yang hang
	农行 nong hang
	工行 gong hang
	建行 jian hang
	中行 zhong hang
	招行 zhao hang
	交行 jiao hang
	投行 tou hang
	行长 hang zhang
	行情 hang qing
	五金行 wu jin hang
	贸易行 mao yi hang
	电器行 dian qi hang
	厦门 xia men
	音乐 yin yue
	乐器 yue qi
	乐队 yue dui
	乐团 yue tuan
	乐清 yue qing
	乐亭 lao ting
	六安 lu an
	六合区 lu he qu
	蚌埠 beng bu
	番禺 pan yu
	台州 tai zhou
	丽水 li shui
	大厦 da sha
	大夫 dai fu
	会计 kuai ji
	会稽 kuai ji
	西藏 xi zang
	藏族 zang zu
	藏药 zang yao
	宝藏 bao zang
	单县 shan xian
	尉犁 yu li
	铅山 yan shan
	洪洞 hong tong
	浚县 xun xian
	东阿 dong e
	阿胶 e jiao
	涡阳 guo yang
	莘县 shen xian
	莘庄 xin zhuang
	鄱阳 po yang
	枞阳 zong yang
	歙县 she xian
	黟县 yi xian
	华县 hua xian
	燕山 yan shan
	郫都 pi du
	繁峙 fan shi
	吐鲁番 tu lu fan
	柏林 bo lin
	调味 tiao wei
	空调 kong tiao
	调理 tiao li
	调解 tiao jie
	协调 xie tiao
	弹簧 tan huang
	传媒 chuan mei
	传奇 chuan qi
	自传 zi zhuan
	首都 shou du
	都市 du shi
	解放 jie fang
	解决 jie jue
	解读 jie du
	解码 jie ma
	区块 qu kuai
	区域 qu yu
	区政 qu zheng
	单位 dan wei
	单车 dan che
	单晶 dan jing
	单片 dan pian
	重工 zhong gong
	重型 zhong xing
	重点 zhong dian
	重机 zhong ji
	车间 che jian
	查询 cha xun
	乐园 le yuan
	乐高 le gao
	乐视 le shi
	乐百氏 le bai shi
	盖板 gai ban
	盖世 gai shi
	朴实 pu shi
	种植 zhong zhi
	种子 zhong zi
	种业 zhong ye
	种苗 zhong miao
	能源 neng yuan
	能量 neng liang
	能力 neng li
	石化 shi hua
	石油 shi you
	秘书 mi shu
	黑龙江 hei long jiang
	黑马 hei ma
	黑金 hei jin
	折扣 zhe kou
	折叠 zhe die
	收藏 shou cang
	储藏 chu cang
	冷藏 leng cang
	窖藏 jiao cang
	藏书 cang shu
	藏品 cang pin
	任务 ren wu
	会员 hui yuan
	员工 yuan gong
	员村 yuan cun
	应用 ying yong
	应急 ying ji
	洗衣 xi yi
	洗涤 xi di
	洗车 xi che
	洗护 xi hu
	那曲 na qu
	省心 sheng xin
	的士 di shi
	目的 mu di
	朝阳 chao yang
	朝天门 chao tian men
	宿迁 su qian
	宿州 su zhou
	句容 ju rong
	重新 chong xin
	重塑 chong su
	重启 chong qi
	便宜 pian yi
	给水 ji shui
	给排水 ji pai shui
	血液 xue ye
	数据 shu ju
	地铁 di tie
	降解 jiang jie
	参茸 shen rong
	人参 ren shen
	海参 hai shen
	薄荷 bo he
	牟平 mu ping
	牟利 mou li
	仇恨 chou hen
	曾经 ceng jing
	着装 zhuo zhuang
	率先 shuai xian
	角色 jue se
	堡垒 bao lei
	瓦窑堡 wa yao bu
	十里堡 shi li pu
	三元桥 san yuan qiao
	万俟 mo qi
	尉迟 yu chi
	澹台 tan tai
	单于 chan yu
	令狐 ling hu
	幢楼 zhuang lou
	咖喱 ga li
	模板 mu ban
	模具 mu ju
	模样 mu yang
	量子 liang zi
	兴业 xing ye
	复兴 fu xing
	中兴 zhong xing
	华兴 hua xing
	给力 gei li
	说服 shuo fu
	盛开 sheng kai
	蛤蜊 ge li
	长沙县 chang sha xian
`)

func wordTable(table string) (map[string][]string, map[rune]bool) {
	w, starts := map[string][]string{}, map[rune]bool{}
	for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || utf8.RuneCountInString(f[0]) != len(f)-1 {
			panic("cnid: reading of " + line)
		}
		first, _ := utf8.DecodeRuneInString(f[0])
		w[f[0]], starts[first] = f[1:], true
	}
	return w, starts
}
