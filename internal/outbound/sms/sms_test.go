package sms

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"bihuan/internal/outbound"
	"bihuan/internal/outbound/sms/smstest"
)

// The vectors of the platforms' rules.
func TestSigns(t *testing.T) {
	t.Parallel()
	got := aliyunSign("AK", "SKtest", url.Values{"PhoneNumbers": {"13812345678"}, "SignName": {"闭环客服"}, "TemplateCode": {"SMS_100001"}, "TemplateParam": {`{"code":"1234"}`}},
		map[string]string{"host": "dysmsapi.aliyuncs.com", "x-acs-action": "SendSms", "x-acs-content-sha256": sum(nil), "x-acs-date": "2023-11-14T22:13:20Z", "x-acs-signature-nonce": "n0nce", "x-acs-version": "2017-05-25"})
	if want := "6b9ea357be9a17984d44d3c2cdc6e70fad6231272a702e5176074534fbb36d7b"; !strings.HasSuffix(got, "Signature="+want) {
		t.Errorf("%s, want %s", got, want)
	}
	got = tencentSign("AK", "SKtest", "sms.tencentcloudapi.com", "SendSms", jsonType, 1700000000, []byte(`{"PhoneNumberSet":["+8613812345678"],"SmsSdkAppId":"1400000000","SignName":"闭环客服","TemplateId":"100001","TemplateParamSet":["T-1001"]}`))
	if want := "3285b1453e47f972085eaab42dd3be63a5dfeb32ed81f5e121d8c0e3dbff74db"; !strings.HasSuffix(got, "Signature="+want) {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, func() time.Time) *smstest.Server{"aliyun": smstest.NewAliyun, "tencent": smstest.NewTencent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Unix(1795305600, 0)
			s := start(t, func() time.Time { return now })
			acc := Account{KeyID: smstest.KeyID, KeySecret: smstest.KeySecret, Sign: smstest.SignName, Template: smstest.Template, AppID: smstest.AppID, Endpoint: s.URL, Net: outbound.New(), Allow: outbound.Allow{"127.0.0.1"}}
			send := func(a Account, to string) error {
				m := outbound.Message{ID: "notice.7.0", To: to, At: now, Subject: "x", Items: []outbound.Item{{Number: "TASK20261122001", Text: "分派给 何（客服部）", Short: "工单分派给我"}}}
				if name == "aliyun" {
					_, err := a.Aliyun(context.Background(), m)
					return err
				}
				_, err := a.Tencent(context.Background(), m)
				return err
			}
			if err := send(acc, "+86 138-0000-0001"); err != nil {
				t.Fatal(err)
			}
			if m := s.Sent()[0]; !strings.HasSuffix(m.To, "13800000001") || m.ID != "notice.7.0" || m.Params[0] != "TASK20261122001" || m.Params[1] != "工单分派给我" {
				t.Errorf("%+v", m)
			}
			for what, c := range map[string]struct {
				change func(a *Account)
				to     string
				kind   outbound.Kind
			}{
				"again at once":  {func(*Account) {}, "13800000001", outbound.Later},
				"no such number": {func(*Account) {}, "12", outbound.Address},
				"wrong secret":   {func(a *Account) { a.KeySecret = "x" }, "13800000002", outbound.Settings},
				"wrong key":      {func(a *Account) { a.KeyID = "x" }, "13800000002", outbound.Settings},
				"wrong sign":     {func(a *Account) { a.Sign = "x" }, "13800000002", outbound.Settings},
				"wrong template": {func(a *Account) { a.Template = "x" }, "13800000002", outbound.Settings},
				"inside":         {func(a *Account) { a.Allow = nil }, "13800000002", outbound.Settings},
			} {
				a := acc
				c.change(&a)
				if err := send(a, c.to); err == nil || outbound.FailOf(err).Kind != c.kind || strings.Contains(err.Error(), smstest.KeySecret) {
					t.Errorf("%s: %v, want %s", what, err, c.kind)
				}
			}
			now = now.Add(2 * time.Minute)
			if err := send(acc, "13800000001"); err != nil {
				t.Error(err)
			}
			if n := len(s.Sent()); n != 2 {
				t.Errorf("%d sent", n)
			}
		})
	}
}
