package knowledge

import (
	"context"
	"fmt"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/setting"
)

// first are the categories of a fresh install; a company makes them its own.
var first = []string{"账号与登录", "订单与配送", "发票与付款", "退换货与退款", "产品使用与故障", "服务与保修", "内部流程"}

// firstSynonyms are words that customers and staff use for the same thing.
var firstSynonyms = []string{
	"账号 帐号 账户 帐户 用户名", "登录 登陆 登入", "密码 口令", "忘记 忘了 想不起", "手机号 手机号码 电话号码 联系电话", "短信 验证码 动态码", "注销 销户 删除账号",
	"发票 税票 开票 fapiao invoice", "专票 专用发票 增值税发票", "抬头 公司名称 单位名称", "付款 支付 付钱 缴费 交钱 打款", "转账 汇款 对公",
	"优惠券 代金券 红包 折扣码", "价格 价钱 多少钱 费用 收费 报价", "退款 退钱 返款", "退货 退回 寄回", "换货 更换 调换", "到账 入账 收到钱",
	"快递 物流 配送 送货 发货 运输", "单号 运单号 快递单", "催单 催促 加急 着急", "地址 收货地址 收件地址", "签收 收货 取件", "丢失 丢了 不见了 遗失",
	"损坏 破损 坏了 摔坏 碎了 破了", "故障 毛病 出问题 不好使 不工作 失灵", "开机 启动 开不了 打不开", "死机 卡死 没反应 无响应 卡住", "网络 联网 上网 wifi 无线 网速",
	"蓝牙 bluetooth", "充电 充不进 充不上", "噪音 响声 异响 声音大 很吵", "漏水 渗水 滴水", "屏幕 显示屏 显示器", "打印机 打印", "升级 更新 固件",
	"重置 恢复出厂 还原", "安装 装机 上门安装", "维修 修理 检修 报修 修一下", "保修 质保 三包 包修", "说明书 手册 使用指南", "配件 零件 耗材", "投诉 举报 不满意 态度差",
	"人工 客服 人工客服 热线", "合同 协议", "会员 vip 等级", "积分 点数", "导出 下载", "权限 授权 没有权限", "取消 撤销 不要了", "修改 更改 变更 改成",
	"延期 推迟 延后", "删除 清除", "邮费 运费 快递费 寄费", "便宜 优惠 折扣 打折 降价", "师傅 工程师 技术员", "包裹 货品", "假货 真伪 正品 防伪", "没电 续航 耗电 掉电",
	"闪退 崩溃 老崩 退出去", "教一下 培训 讲课", "节假日 放假 国庆 春节 假期 夜间", "试用 试试 体验", "接口 api", "密钥 令牌 appkey token", "回调 webhook",
	"表格 excel xlsx", "定做 定制", "保养 打理 维护", "静态ip 固定地址", "提醒 通知 推送", "找回 恢复", "报销 抵扣", "打分 评分 评价", "浏览器 网页 页面",
	"分期 账期 月结 欠账", "操作系统 windows macos win7 win10 win11 苹果电脑", "以旧换新 折价 旧机", "看不清 模糊", "堵住 堵塞",
}

const seeded = "knowledge.seeded"

// Seed brings the first categories and synonyms, once. What a company deletes does
// not come back.
func Seed(ctx context.Context, a *action.Action) error {
	var done bool
	if err := setting.Read(ctx, a, seeded, &done); err != nil || done {
		return err
	}
	for i, name := range first {
		if _, err := a.Exec(ctx, `INSERT INTO article_categories (name, position, created_at) VALUES ($1, $2, $3)`, name, int64(i+1)*10, a.NowMicros()); err != nil {
			return fmt.Errorf("knowledge: seed: %w", err)
		}
	}
	for _, words := range firstSynonyms {
		if _, err := a.Exec(ctx, `INSERT INTO article_synonyms (words, at) VALUES ($1, $2)`, strings.ToLower(words), a.NowMicros()); err != nil {
			return fmt.Errorf("knowledge: seed: %w", err)
		}
	}
	return setting.Write(ctx, a.Tx, seeded, true)
}
