package cnid

import (
	"slices"
	"strings"
	"sync"
)

// places are the provinces with their cities, as company names and addresses
// name them, without 省, 市, 自治区.
const places = `
北京:北京 上海:上海 天津:天津 重庆:重庆
河北:石家庄 唐山 秦皇岛 邯郸 邢台 保定 张家口 承德 沧州 廊坊 衡水 雄安
山西:太原 大同 阳泉 长治 晋城 朔州 晋中 运城 忻州 临汾 吕梁
内蒙古:呼和浩特 包头 乌海 赤峰 通辽 鄂尔多斯 呼伦贝尔 巴彦淖尔 乌兰察布
辽宁:沈阳 大连 鞍山 抚顺 本溪 丹东 锦州 营口 阜新 辽阳 盘锦 铁岭 朝阳 葫芦岛
吉林:长春 吉林 四平 辽源 通化 白山 松原 白城 延边
黑龙江:哈尔滨 齐齐哈尔 鸡西 鹤岗 双鸭山 大庆 伊春 佳木斯 七台河 牡丹江 黑河 绥化
江苏:南京 无锡 徐州 常州 苏州 南通 连云港 淮安 盐城 扬州 镇江 泰州 宿迁 昆山 江阴 张家港 常熟
浙江:杭州 宁波 温州 嘉兴 湖州 绍兴 金华 衢州 舟山 台州 丽水 义乌 慈溪 余姚
安徽:合肥 芜湖 蚌埠 淮南 马鞍山 淮北 铜陵 安庆 黄山 滁州 阜阳 宿州 六安 亳州 池州 宣城
福建:福州 厦门 莆田 三明 泉州 漳州 南平 龙岩 宁德 晋江
江西:南昌 景德镇 萍乡 九江 新余 鹰潭 赣州 吉安 宜春 抚州 上饶
山东:济南 青岛 淄博 枣庄 东营 烟台 潍坊 济宁 泰安 威海 日照 临沂 德州 聊城 滨州 菏泽
河南:郑州 开封 洛阳 平顶山 安阳 鹤壁 新乡 焦作 濮阳 许昌 漯河 三门峡 南阳 商丘 信阳 周口 驻马店 济源
湖北:武汉 黄石 十堰 宜昌 襄阳 鄂州 荆门 孝感 荆州 黄冈 咸宁 随州 恩施 仙桃 潜江 天门
湖南:长沙 株洲 湘潭 衡阳 邵阳 岳阳 常德 张家界 益阳 郴州 永州 怀化 娄底 湘西
广东:广州 深圳 珠海 汕头 佛山 韶关 湛江 肇庆 江门 茂名 惠州 梅州 汕尾 河源 阳江 清远 东莞 中山 潮州 揭阳 云浮 顺德
广西:南宁 柳州 桂林 梧州 北海 防城港 钦州 贵港 玉林 百色 贺州 河池 来宾 崇左
海南:海口 三亚 三沙 儋州
四川:成都 自贡 攀枝花 泸州 德阳 绵阳 广元 遂宁 内江 乐山 南充 眉山 宜宾 广安 达州 雅安 巴中 资阳
贵州:贵阳 六盘水 遵义 安顺 毕节 铜仁
云南:昆明 曲靖 玉溪 保山 昭通 丽江 普洱 临沧 大理 红河 西双版纳
西藏:拉萨 日喀则 昌都 林芝
陕西:西安 铜川 宝鸡 咸阳 渭南 延安 汉中 榆林 安康 商洛
甘肃:兰州 嘉峪关 金昌 白银 天水 武威 张掖 平凉 酒泉 庆阳 定西 陇南
青海:西宁 海东
宁夏:银川 石嘴山 吴忠 固原 中卫
新疆:乌鲁木齐 克拉玛依 吐鲁番 哈密 喀什 石河子
香港:香港 澳门:澳门 台湾:台北 高雄 台中 台南 新竹`

var placeTable = sync.OnceValue(func() (t struct {
	names    []string // longest first
	province map[string]string
}) {
	t.province = map[string]string{}
	var in string
	for _, w := range strings.Fields(places) {
		if p, first, ok := strings.Cut(w, ":"); ok {
			in, w = p, first
			if t.province[p] == "" {
				t.province[p] = p
			}
		}
		t.province[w] = in
	}
	for n := range t.province {
		t.names = append(t.names, n)
	}
	slices.SortFunc(t.names, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return t
})

var placeTails = []string{"壮族自治区", "回族自治区", "维吾尔自治区", "特别行政区", "自治区", "省", "市"}

// Place is where a company's name says it is; both are empty when it says nothing.
type Place struct{ Province, City string }

// Elsewhere reports whether two places contradict each other: a city and its
// province do not, nor does a place and none.
func (p Place) Elsewhere(o Place) bool {
	return p.Province != "" && o.Province != "" && p.Province != o.Province || p.City != "" && o.City != "" && p.City != o.City
}

// PlaceIn reads the province and city a text begins with.
func PlaceIn(s string) (p Place, rest string) {
	t := placeTable()
	rest = s
	for range 2 {
		hit := ""
		for _, n := range t.names {
			if strings.HasPrefix(rest, n) {
				hit = n
				break
			}
		}
		if hit == "" {
			break
		}
		prov := t.province[hit]
		switch {
		case p.Province == "":
			p.Province = prov
		case p.Province != prov:
			return p, rest // 上海北京路…
		}
		if hit != prov || hit == "北京" || hit == "上海" || hit == "天津" || hit == "重庆" {
			p.City = hit
		}
		rest = rest[len(hit):]
		for _, tail := range placeTails {
			if after, ok := strings.CutPrefix(rest, tail); ok {
				rest = after
				break
			}
		}
	}
	return p, rest
}

// CompanyCore returns what is left of a company's name when its place is left
// out too, in simplified characters, and the place: what duplicates are searched
// by when somebody wrote the place and somebody else did not. The core keeps at
// least two characters.
//
//	广东省广州市南粤医疗器械有限公司   南粤医疗器械   广东 广州
//	南粵醫療器械（廣州）有限公司       南粤医疗器械   广东 广州
func CompanyCore(name string) (core string, p Place) {
	name = Simplified(name)
	// A place in brackets: （中国）, （广州）.
	var b strings.Builder
	for rest := clean(name); ; {
		i := strings.IndexAny(rest, "(（[【")
		j := strings.IndexAny(rest, ")）]】")
		if i < 0 || j < i {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:i])
		_, w := firstRune(rest[i:])
		in := strings.TrimSpace(rest[i+w : j])
		if q, left := PlaceIn(in); q.Province != "" && left == "" {
			p = q
		} else if in != "中国" && in != "集团" {
			b.WriteString(in)
		}
		_, w = firstRune(rest[j:])
		rest = rest[j+w:]
	}
	core = NormalizeCompany(b.String())
	if q, rest := PlaceIn(core); q.Province != "" && len([]rune(rest)) >= 2 {
		core = rest
		if p.Province == "" || p.Province == q.Province && p.City == "" {
			p = q
		}
	}
	if rest, ok := strings.CutPrefix(core, "中国"); ok && len([]rune(rest)) >= 2 {
		core = rest
	}
	return core, p
}

func firstRune(s string) (rune, int) {
	for i, r := range s {
		if i > 0 {
			return 0, i
		}
		_ = r
	}
	return 0, len(s)
}

// traditional and simplified characters that names of companies and places are
// made of, pair by pair.
const characterPairs = `廣广東东門门醫医療疗機机電电氣气業业國国際际貿贸華华發发實实業业產产團团衛卫藥药製制環环資资訊讯網网絡络軟软術术進进` +
	`創创維维達达聯联鑫鑫興兴豐丰盛盛寶宝龍龙鳳凤馬马飛飞躍跃騰腾遠远運运輸输車车輪轮鐵铁鋼钢銅铜鋁铝銀银錢钱鑽钻銳锐鋒锋錦锦鴻鸿鵬鹏鷹鹰麗丽` +
	`爾尔爲为於于與与義义習习書书買买賣卖購购貨货倉仓庫库儲储備备設设計计諮咨詢询顧顾問问務务員员勞劳動动勝胜勢势學学園园圖图場场塊块壓压壽寿` +
	`優优億亿倫伦偉伟側侧傳传債债價价儀仪儉俭凱凯別别劉刘劑剂勵励區区協协單单歷历雙双變变葉叶號号嘯啸嚴严圍围報报夢梦奧奥婦妇媽妈嬰婴寧宁寬宽審审` +
	`專专將将導导屆届島岛嶺岭師师帥帅帶带幣币幹干廈厦廠厂廢废廳厅張张強强彈弹徑径從从復复徵征德德態态慶庆憲宪應应懷怀戰战戲戏戶户執执掃扫採采揚扬換换` +
	`損损搖摇擇择擊击擔担據据擴扩攝摄攜携數数斷断時时晉晋曆历書书會会條条來来楊杨樂乐標标樣样橋桥機机檔档檢检樓楼權权歐欧歡欢歲岁歸归殺杀毀毁殼壳` +
	`決决沒没況况淨净涼凉淚泪淺浅測测湯汤溝沟溫温滅灭滬沪漢汉潔洁潤润濟济濱滨灣湾災灾無无煉炼煙烟熱热營营燈灯燒烧爐炉爭争牆墙獎奖獨独獲获環环現现瑪玛` +
	`瑤瑶畫画異异當当療疗盜盗盡尽監监盤盘眾众礦矿碼码確确禮礼禪禅種种稱称積积穩稳競竞筆笔節节範范築筑簡简糧粮紅红級级紀纪約约納纳紙纸紡纺線线組组細细` +
	`終终結结給给統统絲丝經经綠绿維维綱纲綜综網网緊紧緣缘編编緻致縣县縱纵總总績绩織织繡绣繪绘繼继續续羅罗罰罚職职聖圣聞闻聲声聽听腦脑腸肠膚肤臺台舊旧艙舱` +
	`艦舰藝艺蘇苏蘭兰蕭萧薩萨藍蓝處处虛虚蟲虫術术衝冲補补裝装複复襯衬視视規规覺觉覽览觀观觸触訂订訓训託托記记訴诉診诊評评詞词試试詩诗話话該该詳详認认誌志` +
	`語语誠诚說说課课調调談谈請请論论諸诸謀谋講讲謝谢證证識识譜谱譯译議议護护讀读變变讓让豐丰貝贝負负財财貢贡貧贫責责貴贵貸贷費费貼贴賀贺賃赁賓宾賜赐賞赏` +
	`質质賴赖贈赠贊赞趙赵軍军軌轨軒轩較较載载輕轻輔辅輝辉輸输轉转轎轿農农連连週周進进遊游過过達达違违遞递適适選选遺遗還还邊边郵邮鄉乡鄭郑鄧邓醬酱釀酿鎮镇` +
	`鏈链鏡镜鐘钟鑄铸長长閃闪開开閑闲間间閣阁閱阅關关陝陕陳陈陰阴陽阳階阶際际隊队隨随險险隱隐雜杂離离難难雲云電电靈灵靜静韓韩韻韵響响頁页頂顶項项順顺須须` +
	`預预頓顿領领頭头頻频題题額额顏颜類类顯显風风飯饭飲饮飾饰餅饼養养餐餐館馆駕驾驅驱驗验驛驿髮发鬆松魚鱼魯鲁鮮鲜鳥鸟鴨鸭鹽盐麥麦黃黄點点黨党齊齐齒齿龐庞粵粤澤泽`

var simplified = sync.OnceValue(func() map[rune]rune {
	m := map[rune]rune{}
	rs := []rune(characterPairs)
	for i := 0; i+1 < len(rs); i += 2 {
		if rs[i] != rs[i+1] {
			m[rs[i]] = rs[i+1]
		}
	}
	return m
})

// Simplified writes the traditional characters that names are made of in their
// simplified form. It is for comparing, not for showing.
func Simplified(s string) string {
	m := simplified()
	return strings.Map(func(r rune) rune {
		if t, ok := m[r]; ok {
			return t
		}
		return r
	}, s)
}
