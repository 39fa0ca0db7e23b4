package demo

import (
	"context"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/org"
)

// Login is a member of the sample staff who can sign in.
type Login struct {
	Login, Name, Role, Department string
}

const prefix = "demo." // of sign-in names, so that none is that of a real person

// staff are people of every role. The first of a role has its name, so that
// nobody has to look it up to try it.
var staff = []Login{
	{"admin", "沈佳怡", authz.RoleAdmin, "客户服务中心"},
	{"head", "黎嘉敏", authz.RoleHead, "客户服务中心"},
	{"auditor", "钱慧", authz.RoleAuditor, "客户服务中心"},
	{"editor", "唐可心", authz.RoleEditor, "客户服务中心"},
	{"supervisor", "陈思远", authz.RoleSupervisor, "客服部"},
	{"agent", "林晓雯", authz.RoleAgent, "客服部"},
	{"zhoumin", "周敏", authz.RoleAgent, "客服部"},
	{"heyi", "何怡", authz.RoleAgent, "客服部"},
	{"xumeng", "徐梦", authz.RoleAgent, "客服部"},
	{"gaojie", "高洁", authz.RoleAgent, "客服部"},
	{"maoning", "毛宁", authz.RoleAgent, "客服部"},
	{"wutao", "吴涛", authz.RoleSupervisor, "技术支持部"},
	{"engineer", "何俊杰", authz.RoleEngineer, "技术支持部"},
	{"dengchao", "邓朝阳", authz.RoleEngineer, "技术支持部"},
	{"fanxiao", "范晓", authz.RoleEngineer, "技术支持部"},
	{"jiangbo", "蒋波", authz.RoleEngineer, "技术支持部"},
	{"luojg", "罗建国", authz.RoleSupervisor, "售后部"},
	{"penglei", "彭磊", authz.RoleEngineer, "售后部"},
	{"caoyang", "曹阳", authz.RoleEngineer, "售后部"},
	{"yuanfang", "袁芳", authz.RoleAgent, "售后部"},
	{"lianghy", "梁海燕", authz.RoleSupervisor, "销售部"},
	{"sales", "赵立", authz.RoleSales, "销售部"},
	{"songjia", "宋佳", authz.RoleSales, "销售部"},
	{"qiuming", "邱明", authz.RoleSales, "销售部"},
	{"fangyuan", "方圆", authz.RoleAgent, "销售部"},
	{"jiazq", "贾志强", authz.RoleSupervisor, "物流部"},
	{"shilei", "石磊", authz.RoleAgent, "物流部"},
	{"panting", "潘婷", authz.RoleAgent, "物流部"},
}

// crew is the sample staff once it is there.
type crew struct {
	logins []Login
	id     map[string]int64  // by sign-in name without prefix
	dept   map[string]int64  // by name
	sales  []int64           // who have customers of their own
	agents []int64           // of 客服部
	boss   map[int64]int64   // supervisor by department
	in     map[int64][]int64 // who may handle tickets, by department
	name   map[int64]string  // department by id
}

// hire adds the staff. A department that has been renamed or closed is made up
// for by the first one there is.
func (l *life) hire(ctx context.Context, hash string) (*crew, error) {
	c := &crew{id: map[string]int64{}, dept: map[string]int64{}, boss: map[int64]int64{}, in: map[int64][]int64{}, name: map[int64]string{}}
	err := l.Run.Do(ctx, authz.System(actorName), "demo.fill", func(ctx context.Context, a *action.Action) error {
		tree, err := l.Org.Tree(ctx)
		if err != nil {
			return err
		}
		var first org.Node
		for _, n := range tree {
			if n.Active && (first.ID == 0 || n.Name == "客服部") {
				first = n
			}
		}
		for _, s := range staff {
			if c.dept[s.Department] != 0 {
				continue
			}
			c.dept[s.Department] = first.ID
			for _, n := range tree {
				if n.Active && n.Name == s.Department {
					c.dept[s.Department] = n.ID
				}
			}
			c.name[c.dept[s.Department]] = s.Department
		}
		var head int64
		for _, s := range staff {
			role, err := l.Org.RoleByCode(ctx, a, s.Role)
			if err != nil {
				return err
			}
			dep := c.dept[s.Department]
			id, err := l.Org.AddUser(ctx, a, org.UserInput{Login: prefix + s.Login, Name: s.Name, DepartmentID: dep, RoleIDs: []int64{role}, Capacity: 60,
				Email: s.Login + "@example.com"}, hash, true)
			if err != nil {
				return fmt.Errorf("demo: %s: %w", s.Login, err)
			}
			c.id[s.Login] = id
			s.Login = prefix + s.Login
			c.logins = append(c.logins, s)
			switch s.Role {
			case authz.RoleHead:
				head = id
			case authz.RoleSupervisor:
				c.boss[dep] = id
				if err := l.Org.Lead(ctx, a, dep, 0, id); err != nil {
					return err
				}
			case authz.RoleSales:
				c.sales = append(c.sales, id)
			case authz.RoleAgent, authz.RoleEngineer:
				c.in[dep] = append(c.in[dep], id)
				if s.Department == "客服部" {
					c.agents = append(c.agents, id)
				}
			}
		}
		return l.Org.Lead(ctx, a, c.dept["客户服务中心"], head, head)
	})
	return c, err
}
