# independent reference implementation of the naming spec; strings are lists of UTF-16 code units
import hashlib, base64, struct, bisect, os
TABLES=os.path.join(os.path.dirname(os.path.abspath(__file__)),'..','..','..','tools','unicode')
def utf8(u):
    # .NET Encoding.UTF8: lone surrogates -> EF BF BD
    out=bytearray(); i=0
    while i<len(u):
        c=u[i]
        if 0xD800<=c<=0xDBFF and i+1<len(u) and 0xDC00<=u[i+1]<=0xDFFF:
            cp=0x10000+((c-0xD800)<<10)+(u[i+1]-0xDC00); i+=2
        elif 0xD800<=c<=0xDFFF: cp=0xFFFD; i+=1
        else: cp=c; i+=1
        out+=chr(cp).encode('utf-8')
    return bytes(out)
A=lambda s:[ord(c) for c in s]
def tosafe(name,maxlen,conv,hashf=None):
    base=conv(name)
    if base==name and len(base)<=maxlen: return name
    h=A((hashf or (lambda b: base64.b64encode(hashlib.sha512(b).digest()).decode()))(utf8(name)))
    if len(h)>=maxlen: return h[:maxlen]
    return base[:min(len(base),maxlen-len(h))]+h
def b32le(b,alpha,n=32):
    out='';buf=0;bits=0;i=0
    for _ in range(n):
        if bits<5: buf|=b[i]<<bits; i+=1; bits+=8
        out+=alpha[buf&31]; buf>>=5; bits-=5
    return out
UP="ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
def b32int(b,alpha):
    v=int.from_bytes(b[:20],'little'); return ''.join(alpha[(v>>(5*i))&31] for i in range(32))
ranges=[tuple(int(x,16) for x in l.strip().split('-')) for l in open(os.path.join(TABLES,'dotnet_letter_or_digit_bmp.txt'))]
starts=[r[0] for r in ranges]
def isld(c):
    i=bisect.bisect_right(starts,c)-1; return i>=0 and c<=ranges[i][1]
def filename(name,d='/d'):
    base=[c if (isld(c) or c==0x5f) else 0x5f for c in name]
    h=b32int(hashlib.sha512(utf8(name)).digest(),UP)
    return A(d+'/')+base[:27]+A(h)+A('.lock')
lower={}
for l in open(os.path.join(TABLES,'dotnet_invariant_lower.txt')):
    a,b=l.split(); lower[int(a,16)]=[int(x,16) for x in b.split(',')]
def tolower(u):
    out=[];i=0
    while i<len(u):
        c=u[i];n=1;cp=c
        if 0xD800<=c<=0xDBFF and i+1<len(u) and 0xDC00<=u[i+1]<=0xDFFF:
            cp=0x10000+((c-0xD800)<<10)+(u[i+1]-0xDC00); n=2
        for r in lower.get(cp,[cp]):
            if r>0xffff: r-=0x10000; out+=[0xD800+(r>>10),0xDC00+(r&0x3ff)]
            else: out.append(r)
        i+=n
    return out
def mysql(name): return tosafe(name,64,lambda u: A('__empty__') if not u else tolower(u),lambda b:b32int(hashlib.sha512(b).digest(),UP.lower()))
def s32(x): return x-(1<<32) if x&0x80000000 else x
def pg(name):
    # returns (nohash_ok, single, hi, lo)
    if len(name)<=9 and all(c<128 for c in name):
        v=0
        for c in name: v=(v<<7)|c
        v<<=1
        for _ in range(9-len(name)): v=(v<<7)|0x7f
        v&=(1<<64)-1
        return True,False,s32(v>>32),s32(v&0xffffffff)
    def hx(u):
        s=list(u)
        while s and s[-1]==0: s.pop()
        if not s or any(not(48<=c<=57 or 65<=c<=70 or 97<=c<=102) for c in s): return None
        return int(''.join(map(chr,s)),16)
    if len(name)==16 or (len(name)==17 and name[8]==0x2c):
        a=hx(name[:8]);b=hx(name[-8:])
        if a is not None and b is not None: return True,len(name)==16,s32(a),s32(b)
    v=int.from_bytes(hashlib.sha1(utf8(name)).digest()[:8],'little')
    return False,True,s32(v>>32),s32(v&0xffffffff)
def badzk(c): return 1<=c<=0x1f or 0x7f<=c<=0x9f or 0xd800<=c<=0xf8ff or 0xfff0<=c<=0xffff
def zk(name,parent):
    root=parent=='/'
    def conv(u):
        if not u: return A('EMPTY')
        if u in (A('.'),A('..')) or (root and u==A('zookeeper')): return u+A('_')
        return [0x5f if (c in (0,0x2f) or badzk(c)) else c for c in u]
    s=[0x5f if c==0x2f else c for c in tosafe(name,1<<31,conv)]
    return A(parent if root else parent+'/')+s
def sqlsem(name):
    r=[]
    for c in name:
        if 48<=c<=57 or 65<=c<=90 or 97<=c<=122: r.append(c)
        else: r+=A(format(c,'x'))
    return r[:12]+A(hashlib.sha256(utf8(name)).hexdigest()+'semaphore')
def wh(name):
    G=A('Global\\'); n=name[7:] if name[:7]==G else name
    return G+tosafe(n,253,lambda u:A('EMPTY') if not u else [0x5f if c==0x5c else c for c in u])
def sql(name): return tosafe(name,255,lambda u:u)
def ora(name): return tosafe(name,128,lambda u:A('EMPTY') if not u else u)
def az(name,mx=1024):
    def conv(u):
        if not u: return A('__EMPTY__')
        out=[];sl=0
        for i,c in enumerate(u):
            last=i==len(u)-1
            if c in (0x2f,0x5c):
                sl+=1
                if sl>253 or last: out+=A('SLASH'); continue
                out.append(c)
            elif c==0x2e and last: out+=A('DOT')
            else: out.append(c)
        return out
    return tosafe(name,mx,conv)

def units(s): b=s.encode('utf-16-le','surrogatepass'); return list(struct.unpack('<%dH'%(len(b)//2),b))
def text(u): return struct.pack('<%dH'%len(u),*u).decode('utf-16-le','surrogatepass')
if __name__=='__main__':
    import sys,json
    for n in sys.argv[1:]:
        u=units(n); ok,single,hi,lo=pg(u)
        print(json.dumps(dict(name=n,file=text(filename(u))[3:],mysql=text(mysql(u)),pg=([(hi<<32)|(lo&0xffffffff)] if single else [hi,lo]),pg_needs_hash=not ok,
            zk_root=text(zk(u,'/')),zk_child=text(zk(u,'/a')),sql_semaphore=text(sqlsem(u)),wait_handle=text(wh(u)),sql_lock=text(sql(u)),oracle=text(ora(u)),azure=text(az(u)),azure_emulator=text(az(u,256))),ensure_ascii=False))
