// Package sms sends short messages through Aliyun or Tencent. Both send templates
// that were approved beforehand; ours have two variables, the number of the ticket
// and what happened, because platforms refuse free text and links.
//
// Every message carries an id of ours (OutId, SessionContext), by which its report
// can be found at the platform. It does not keep it from being sent twice.
package sms

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/outbound"
)

// Account is where messages are handed over.
type Account struct {
	KeyID, KeySecret string
	Sign             string // 短信签名
	Template         string
	AppID            string // Tencent: SmsSdkAppId
	Region           string // Tencent: "" is ap-guangzhou
	Endpoint         string // "": that of the platform

	Net   outbound.Net
	Allow outbound.Allow
}

// vars are the values of the template: number and event.
func vars(m outbound.Message) (number, event string) {
	i := m.Items[0]
	if number = i.Number; number == "" {
		number = "-"
	}
	if event = i.Short; event == "" {
		event = i.Text
	}
	if len(m.Items) > 1 {
		event = m.Subject
	}
	r := []rune(event)
	return number, string(r[:min(len(r), 20)])
}

// digits is a mainland number without its prefix, or one with + of elsewhere.
func digits(to string) string {
	s := strings.NewReplacer(" ", "", "-", "").Replace(to)
	return strings.TrimPrefix(s, "+86")
}

func pct(s string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
}

func sum(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// aliyunSign is the Authorization of the third version (ACS3-HMAC-SHA256) for a
// POST to / without a body. headers are those to be signed, in small letters.
func aliyunSign(id, secret string, query url.Values, headers map[string]string) string {
	var q, names, lines []string
	for k := range query {
		q = append(q, pct(k)+"="+pct(query.Get(k)))
	}
	slices.Sort(q)
	for k := range headers {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		lines = append(lines, k+":"+strings.TrimSpace(headers[k])+"\n")
	}
	signed := strings.Join(names, ";")
	canonical := "POST\n/\n" + strings.Join(q, "&") + "\n" + strings.Join(lines, "") + "\n" + signed + "\n" + sum(nil)
	sig := hex.EncodeToString(mac([]byte(secret), "ACS3-HMAC-SHA256\n"+sum([]byte(canonical))))
	return "ACS3-HMAC-SHA256 Credential=" + id + ",SignedHeaders=" + signed + ",Signature=" + sig
}

// Aliyun sends m by 阿里云短信服务.
func (a Account) Aliyun(ctx context.Context, m outbound.Message) (string, error) {
	endpoint := a.Endpoint
	if endpoint == "" {
		endpoint = "https://dysmsapi.aliyuncs.com"
	}
	u, err := outbound.Parse(endpoint)
	if err != nil {
		return "", outbound.Failed(outbound.Settings, "", err)
	}
	number, event := vars(m)
	query := url.Values{"PhoneNumbers": {digits(m.To)}, "SignName": {a.Sign}, "TemplateCode": {a.Template}, "OutId": {m.ID},
		"TemplateParam": {string(outbound.JSON(map[string]string{"number": number, "event": event}))}}
	h := map[string]string{"host": u.Host, "x-acs-action": "SendSms", "x-acs-version": "2017-05-25", "x-acs-date": m.At.UTC().Format("2006-01-02T15:04:05Z"), "x-acs-signature-nonce": rand.Text(), "x-acs-content-sha256": sum(nil)}
	header := http.Header{"Authorization": {aliyunSign(a.KeyID, a.KeySecret, query, h)}}
	for k, v := range h {
		if k != "host" {
			header.Set(k, v)
		}
	}
	var q []string
	for k := range query {
		q = append(q, pct(k)+"="+pct(query.Get(k)))
	}
	slices.Sort(q)
	ans, err := a.Net.Post(ctx, strings.TrimSuffix(endpoint, "/")+"/?"+strings.Join(q, "&"), a.Allow, header, nil)
	if err != nil {
		return "", err
	}
	var x struct{ Code, Message, BizId string }
	if json.Unmarshal(ans.Body, &x) != nil || x.Code == "" {
		return ans.Line(), judged(ans)
	}
	line := strings.TrimSpace(x.Code + " " + x.Message + " " + x.BizId)
	if x.Code == "OK" {
		return line, nil
	}
	return line, refused(x.Code, line, ans)
}

// judged is the judgement of an answer that is not the platform's.
func judged(a outbound.Answer) error {
	if err := a.Judge(); err != nil {
		return err
	}
	return outbound.Failed(outbound.Settings, a.Line(), fmt.Errorf("sms: this is not the answer of the platform"))
}

// refused sorts the codes of both platforms by what is to be done.
func refused(code, line string, a outbound.Answer) error {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(code, p) })
	}
	switch {
	case has("BUSINESS_LIMIT_CONTROL", "DAY_LIMIT_CONTROL", "LimitExceeded.PhoneNumber"):
		// So many to this number: others are not concerned.
		f := outbound.Failed(outbound.Later, line, nil)
		f.Retry = time.Hour
		return f
	case has("Throttling", "RequestLimitExceeded", "LimitExceeded"):
		return outbound.Failed(outbound.Throttled, line, nil)
	case has("MOBILE_NUMBER_ILLEGAL", "IncorrectPhoneNumber", "PhoneNumberInBlacklist", "BLACK_KEY_CONTROL_LIMIT", "UnsupportedRegion"):
		return outbound.Failed(outbound.Address, line, nil)
	case has("Signature", "AccessKey", "AuthFailure", "AMOUNT_NOT_ENOUGH", "Insufficient", "OUT_OF_SERVICE", "TEMPLATE", "Template", "SIGN", "RAM_", "Unauthorized", "SdkAppId", "PARAM", "Forbidden"):
		return outbound.Failed(outbound.Settings, line, nil)
	case has("SYSTEM_ERROR", "InternalError", "ServiceUnavailable", "Timeout") || a.Status >= 500:
		return outbound.Failed(outbound.Later, line, nil)
	}
	return outbound.Failed(outbound.Refused, line, nil)
}

// tencentSign is the Authorization of TC3-HMAC-SHA256.
func tencentSign(id, secret, host, action, contentType string, at int64, body []byte) string {
	date := time.Unix(at, 0).UTC().Format(time.DateOnly)
	const signed = "content-type;host;x-tc-action"
	canonical := "POST\n/\n\ncontent-type:" + contentType + "\nhost:" + host + "\nx-tc-action:" + strings.ToLower(action) + "\n\n" + signed + "\n" + sum(body)
	scope := date + "/sms/tc3_request"
	key := mac(mac(mac([]byte("TC3"+secret), date), "sms"), "tc3_request")
	sig := hex.EncodeToString(mac(key, "TC3-HMAC-SHA256\n"+strconv.FormatInt(at, 10)+"\n"+scope+"\n"+sum([]byte(canonical))))
	return "TC3-HMAC-SHA256 Credential=" + id + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" + sig
}

const jsonType = "application/json; charset=utf-8"

// Tencent sends m by 腾讯云短信.
func (a Account) Tencent(ctx context.Context, m outbound.Message) (string, error) {
	endpoint, region := a.Endpoint, a.Region
	if endpoint == "" {
		endpoint = "https://sms.tencentcloudapi.com"
	}
	if region == "" {
		region = "ap-guangzhou"
	}
	u, err := outbound.Parse(endpoint)
	if err != nil {
		return "", outbound.Failed(outbound.Settings, "", err)
	}
	to := digits(m.To)
	if !strings.HasPrefix(to, "+") {
		to = "+86" + to
	}
	number, event := vars(m)
	body := outbound.JSON(struct {
		PhoneNumberSet   []string
		SmsSdkAppId      string
		SignName         string
		TemplateId       string
		TemplateParamSet []string
		SessionContext   string
	}{[]string{to}, a.AppID, a.Sign, a.Template, []string{number, event}, m.ID})
	at := m.At.Unix()
	ans, err := a.Net.Post(ctx, strings.TrimSuffix(endpoint, "/")+"/", a.Allow, http.Header{"Content-Type": {jsonType}, "X-Tc-Action": {"SendSms"}, "X-Tc-Version": {"2021-01-11"}, "X-Tc-Region": {region}, "X-Tc-Timestamp": {strconv.FormatInt(at, 10)},
		"Authorization": {tencentSign(a.KeyID, a.KeySecret, u.Host, "SendSms", jsonType, at, body)}}, body)
	if err != nil {
		return "", err
	}
	var x struct {
		Response *struct {
			Error         *struct{ Code, Message string }
			SendStatusSet []struct{ Code, Message, SerialNo string }
		}
	}
	if json.Unmarshal(ans.Body, &x) != nil || x.Response == nil || x.Response.Error == nil && len(x.Response.SendStatusSet) == 0 {
		return ans.Line(), judged(ans)
	}
	if e := x.Response.Error; e != nil {
		line := strings.TrimSpace(e.Code + " " + e.Message)
		return line, refused(e.Code, line, ans)
	}
	s := x.Response.SendStatusSet[0]
	line := strings.TrimSpace(s.Code + " " + s.Message + " " + s.SerialNo)
	if s.Code == "Ok" {
		return line, nil
	}
	return line, refused(s.Code, line, ans)
}
