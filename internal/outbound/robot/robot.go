// Package robot posts into groups of WeCom, DingTalk and Feishu by their robots.
// A robot's address is its password: it is kept sealed and never appears in an
// error.
//
// None of the three knows ids of messages, so a message of which nobody knows
// whether it arrived may appear twice. The limits of the platforms (20 a minute
// for WeCom and DingTalk, 100 a minute and 5 a second for Feishu) are kept by the
// caller; a platform that complains nevertheless is outbound.Throttled.
package robot

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/outbound"
)

// Robot is one of a group.
type Robot struct {
	URL     string // the whole address, as the platform shows it
	Secret  string // "": it does not sign
	Keyword string // what every message must contain; "": nothing

	Net   outbound.Net
	Allow outbound.Allow
}

// Limits of a message in bytes.
const (
	weComMost    = 2048
	dingTalkMost = 4000
	feishuMost   = 15000
)

// blocked is how long a platform takes nothing after too many.
var blocked = map[int]time.Duration{130101: 10 * time.Minute, 660026: 10 * time.Minute, 410100: 10 * time.Minute, 45009: time.Minute, 45033: time.Minute}

type reply struct {
	ErrCode *int   `json:"errcode"`
	Code    *int   `json:"code"`
	ErrMsg  string `json:"errmsg"`
	Msg     string `json:"msg"`
}

func (r Robot) text(m outbound.Message, most int) string {
	s := m.Text(most - len(r.Keyword) - 1)
	if r.Keyword != "" && !strings.Contains(s, r.Keyword) {
		s = r.Keyword + " " + s
	}
	return s
}

func (r Robot) post(ctx context.Context, address string, body any, codes map[int]outbound.Kind) (string, error) {
	a, err := r.Net.Post(ctx, address, r.Allow, http.Header{"Content-Type": {"application/json; charset=utf-8"}}, outbound.JSON(body))
	if err != nil {
		return "", err
	}
	if err := a.Judge(); err != nil {
		return a.Line(), err
	}
	var x reply
	if err := json.Unmarshal(a.Body, &x); err != nil || x.ErrCode == nil && x.Code == nil {
		return a.Line(), outbound.Failed(outbound.Settings, a.Line(), fmt.Errorf("robot: this is not the answer of a robot"))
	}
	code, say := 0, x.ErrMsg
	if x.ErrCode != nil {
		code = *x.ErrCode
	} else {
		code, say = *x.Code, x.Msg
	}
	line := strings.TrimSpace(fmt.Sprintf("%d %s", code, outbound.Cut(say, 300)))
	if code == 0 {
		return line, nil
	}
	kind := codes[code]
	if kind == "" {
		kind = outbound.Refused
	}
	f := outbound.Failed(kind, line, nil)
	if kind == outbound.Throttled {
		f.Retry = outbound.RetryAfter(a.Header)
		if x.ErrCode != nil && f.Retry == 0 {
			f.Retry = blocked[code]
		}
	}
	return line, f
}

func at(m outbound.Message) (mobiles, ids []string) {
	for _, a := range strings.Split(m.To, ",") {
		a = strings.TrimSpace(a)
		digits := strings.TrimPrefix(strings.NewReplacer(" ", "", "-", "").Replace(a), "+86")
		switch {
		case a == "":
		case len(digits) == 11 && strings.Trim(digits, "0123456789") == "":
			mobiles = append(mobiles, digits)
		default:
			ids = append(ids, a)
		}
	}
	return mobiles, ids
}

// WeCom posts m as text and mentions its receivers by their numbers or ids.
func (r Robot) WeCom(ctx context.Context, m outbound.Message) (string, error) {
	type text struct {
		Content string   `json:"content"`
		Mobiles []string `json:"mentioned_mobile_list,omitempty"`
		IDs     []string `json:"mentioned_list,omitempty"`
	}
	mobiles, ids := at(m)
	return r.post(ctx, r.URL, map[string]any{"msgtype": "text", "text": text{r.text(m, weComMost), mobiles, ids}},
		map[int]outbound.Kind{45009: outbound.Throttled, 45033: outbound.Throttled, 93000: outbound.Settings, 93008: outbound.Settings, 40001: outbound.Settings, 40014: outbound.Settings, -1: outbound.Later})
}

// DingTalkSign is the value of the sign parameter, not yet escaped; ms is the
// timestamp in milliseconds.
func DingTalkSign(secret string, ms int64) string {
	return mac(secret, strconv.FormatInt(ms, 10)+"\n"+secret)
}

func mac(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// DingTalk posts m as text.
func (r Robot) DingTalk(ctx context.Context, m outbound.Message) (string, error) {
	address := r.URL
	if r.Secret != "" {
		u, err := url.Parse(r.URL)
		if err != nil {
			return "", outbound.Failed(outbound.Settings, "", fmt.Errorf("robot: the address cannot be read"))
		}
		ms := m.At.UnixMilli()
		q := u.Query()
		q.Set("timestamp", strconv.FormatInt(ms, 10))
		q.Set("sign", DingTalkSign(r.Secret, ms))
		u.RawQuery = q.Encode()
		address = u.String()
	}
	text := r.text(m, dingTalkMost)
	mobiles, ids := at(m)
	for _, n := range mobiles { // only who stands in the text is told
		text += " @" + n
	}
	return r.post(ctx, address, map[string]any{"msgtype": "text", "text": map[string]string{"content": text}, "at": map[string]any{"atMobiles": mobiles, "atUserIds": ids, "isAtAll": false}},
		map[int]outbound.Kind{130101: outbound.Throttled, 660026: outbound.Throttled, 410100: outbound.Throttled, 310000: outbound.Settings, 300001: outbound.Settings, 300005: outbound.Settings, 40035: outbound.Refused, 400101: outbound.Settings, 400102: outbound.Settings, -1: outbound.Later})
}

// FeishuSign is the sign in the body; s is the timestamp in seconds.
func FeishuSign(secret string, s int64) string {
	return mac(strconv.FormatInt(s, 10)+"\n"+secret, "")
}

// Feishu posts m as text.
func (r Robot) Feishu(ctx context.Context, m outbound.Message) (string, error) {
	text := r.text(m, feishuMost)
	_, ids := at(m)
	for _, id := range ids {
		if strings.HasPrefix(id, "ou_") {
			text += ` <at user_id="` + strings.NewReplacer(`"`, "", "<", "", ">", "").Replace(id) + `"></at>`
		}
	}
	body := map[string]any{"msg_type": "text", "content": map[string]string{"text": text}}
	if r.Secret != "" {
		s := m.At.Unix()
		body["timestamp"], body["sign"] = strconv.FormatInt(s, 10), FeishuSign(r.Secret, s)
	}
	return r.post(ctx, r.URL, body, map[int]outbound.Kind{11232: outbound.Throttled, 9499: outbound.Refused, 19001: outbound.Settings, 19002: outbound.Refused, 19021: outbound.Settings, 19022: outbound.Settings, 19024: outbound.Settings})
}
