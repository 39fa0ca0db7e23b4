// Package robottest is a platform with robots on this machine for tests: it checks
// addresses, signatures and the number of messages a minute, as the real ones do.
package robottest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Platforms.
const (
	WeCom    = "wecom"
	DingTalk = "dingtalk"
	Feishu   = "feishu"
)

// Post is what arrived.
type Post struct {
	Text    string
	Mobiles []string
	IDs     []string
	At      time.Time
}

// Server is the platform; URL is the address of its one robot.
type Server struct {
	URL string

	kind, secret string
	now          func() time.Time
	mu           sync.Mutex
	posts        []Post
	refused      int
	status       int // answered in place of everything
	drop         bool
}

// New starts a platform; secret "" means that the robot does not sign. now is its
// clock.
func New(t testing.TB, kind, secret string, now func() time.Time) *Server {
	t.Helper()
	s := &Server{kind: kind, secret: secret, now: now}
	h := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(h.Close)
	s.URL = h.URL + map[string]string{WeCom: "/cgi-bin/webhook/send?key=K3Y", DingTalk: "/robot/send?access_token=K3Y", Feishu: "/open-apis/bot/v2/hook/K3Y"}[kind]
	return s
}

// Posts returns what was taken.
func (s *Server) Posts() []Post {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Post(nil), s.posts...)
}

// Refused counts messages beyond the limit.
func (s *Server) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// Break lets the platform answer with a status, or, with drop, take the message
// and hang up; 0 and false mend it.
func (s *Server) Break(status int, drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.drop = status, drop
}

func (s *Server) limited(now time.Time) bool {
	count := func(d time.Duration) (n int) {
		for _, p := range s.posts {
			if now.Sub(p.At) < d {
				n++
			}
		}
		return n
	}
	if s.kind == Feishu {
		return count(time.Minute) >= 100 || count(time.Second) >= 5
	}
	return count(time.Minute) >= 20
}

func sign(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func near(now time.Time, at time.Time) bool { d := now.Sub(at); return d < time.Hour && d > -time.Hour }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, _ := io.ReadAll(r.Body)
	say := func(code int, msg string) {
		w.Header().Set("Content-Type", "application/json")
		if s.kind == Feishu {
			fmt.Fprintf(w, `{"code":%d,"msg":%q,"data":{}}`, code, msg)
			return
		}
		fmt.Fprintf(w, `{"errcode":%d,"errmsg":%q}`, code, msg)
	}
	if s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	now := s.now()
	var b struct {
		Type    string `json:"msgtype"`
		Type2   string `json:"msg_type"`
		Time    string `json:"timestamp"`
		Sign    string `json:"sign"`
		Content struct {
			Text string `json:"text"`
		} `json:"content"`
		Text struct {
			Content string   `json:"content"`
			Mobiles []string `json:"mentioned_mobile_list"`
			IDs     []string `json:"mentioned_list"`
		} `json:"text"`
		At struct {
			Mobiles []string `json:"atMobiles"`
			IDs     []string `json:"atUserIds"`
		} `json:"at"`
	}
	if err := json.Unmarshal(raw, &b); err != nil || r.Method != http.MethodPost {
		say(400, "bad request")
		return
	}
	p := Post{At: now}
	switch s.kind {
	case WeCom:
		switch {
		case r.URL.Query().Get("key") != "K3Y":
			say(93000, "invalid webhook url")
			return
		case b.Type != "text" || len(b.Text.Content) > 2048:
			say(40058, "content exceed max length")
			return
		}
		p.Text, p.Mobiles, p.IDs = b.Text.Content, b.Text.Mobiles, b.Text.IDs
	case DingTalk:
		q := r.URL.Query()
		ms, _ := strconv.ParseInt(q.Get("timestamp"), 10, 64)
		switch {
		case q.Get("access_token") != "K3Y":
			say(300001, "token is not exist")
			return
		case s.secret != "" && (!near(now, time.UnixMilli(ms)) || q.Get("sign") != sign(s.secret, q.Get("timestamp")+"\n"+s.secret)):
			say(310000, "sign not match")
			return
		}
		p.Text, p.Mobiles, p.IDs = b.Text.Content, b.At.Mobiles, b.At.IDs
	case Feishu:
		sec, _ := strconv.ParseInt(b.Time, 10, 64)
		switch {
		case r.URL.Path != "/open-apis/bot/v2/hook/K3Y":
			say(19001, "param invalid: incoming webhook access token invalid")
			return
		case s.secret != "" && (!near(now, time.Unix(sec, 0)) || b.Sign != sign(b.Time+"\n"+s.secret, "")):
			say(19021, "sign match fail or timestamp is not within one hour from current time")
			return
		case b.Type2 != "text" || len(raw) > 20<<10:
			say(9499, "Bad Request")
			return
		}
		p.Text = b.Content.Text
	}
	if s.limited(now) {
		s.refused++
		say(map[string]int{WeCom: 45009, DingTalk: 410100, Feishu: 11232}[s.kind], "too many requests")
		return
	}
	s.posts = append(s.posts, p)
	if s.drop {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			c.Close()
		}
		return
	}
	say(0, "ok")
}
