//! Texts of every kind that people send, written for these tests.

/// English prose: plain, technical, spoken, and with the punctuation of letters and lists.
pub(super) const PROSE: [&str; 6] = [
    "The ferry left the harbour a little after six, when the lamps along the quay were still lit and the gulls had \
     only begun to quarrel over the nets. Nobody on deck spoke much. A man in a brown coat read yesterday's paper, \
     two children slept against their mother, and the engineer came up now and then to look at the sky as if it owed \
     him money. By the time the island showed itself, low and grey behind the rain, most of us had stopped looking \
     for it. We had been told that the crossing took two hours; it took almost four, and no one was surprised.",
    "A queue without a bound is a promise that nobody intends to keep. When work arrives faster than it can be done, \
     something has to give: either the caller waits, or the caller is told to come back later, or memory fills until \
     the whole process dies and every caller loses at once. The second answer is usually the kindest. It is cheap to \
     produce, it can carry the time after which trying again makes sense, and it leaves the work that has already \
     been accepted undisturbed. Choose the bound from the latency you are willing to defend, not from the memory you \
     happen to have.",
    "Please summarise the following meeting notes in three bullet points. Keep the names of the people who promised \
     something, and the dates by which they promised it. Do not add anything that was not said. If a decision was \
     postponed, say so plainly instead of guessing what it might turn out to be. The audience has not been in the \
     room and will read your summary on a telephone.",
    "\"You can't be serious,\" she said, and put the letter down. \"He wrote this himself?\"\n\n\"Every word,\" I \
     answered. \"Look at the date, though. It's from before the fire -- he couldn't have known about the insurance, \
     could he?\"\n\nShe didn't reply at once. Outside, somebody was trying to start a motorcycle; it coughed, caught, \
     and died again. \"Well,\" she said at last, \"then we've been wrong about nearly everything, haven't we?\"",
    "Before you begin:\n\n1. Switch the machine off and unplug it.\n2. Let the oil cool for at least thirty minutes.\n\
     3. Have a clean cloth, a small bowl and the new filter at hand.\n\nLoosen the screw at the bottom by half a \
     turn. Oil will start to drip at once, so hold the bowl close. When the flow becomes thin, remove the screw \
     completely and wait until nothing more comes. Wipe the thread, put in the new filter (the arrow must point \
     upwards), and tighten everything by hand; a wrench would strip the aluminium.",
    "Photosynthesis converts light into chemical energy. In the first stage, pigments embedded in the thylakoid \
     membranes absorb photons and pass excited electrons along a chain of carriers, which pumps protons across the \
     membrane and leaves a gradient that drives the synthesis of adenosine triphosphate. In the second stage, which \
     needs no light, carbon dioxide is fixed by the most abundant enzyme on Earth and reduced, step by step, to \
     three-carbon sugars. Temperature, humidity and the concentration of carbon dioxide all limit the overall rate.",
];

/// Source code in five languages.
pub(super) const CODE: [&str; 5] = [
    r#"use std::collections::HashMap;

/// Counts how often each word occurs, ignoring case.
pub fn word_counts(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_without_case() {
        let counts = word_counts("The cat and the hat.");
        assert_eq!(counts.get("the"), Some(&2));
        assert_eq!(counts.len(), 4);
    }
}
"#,
    r##"import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reading:
    sensor: str
    celsius: float


def load_readings(path: Path) -> list[Reading]:
    """Read one reading per line, skipping comments and blank lines."""
    readings = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            sensor, value = line.split(",")
            readings.append(Reading(sensor=sensor.strip(), celsius=float(value)))
        except ValueError as error:
            raise SystemExit(f"{path}:{number}: {error}")
    return readings


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    arguments = parser.parse_args()
    for reading in sorted(load_readings(arguments.path), key=lambda r: r.celsius):
        print(f"{reading.sensor:>12} {reading.celsius:6.1f}")
"##,
    r#"export async function fetchWithRetry(url, { attempts = 3, delay = 250, ...options } = {}) {
  let lastError;
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      const response = await fetch(url, options);
      if (response.ok || response.status < 500) {
        return response;
      }
      lastError = new Error(`server answered ${response.status}`);
    } catch (error) {
      lastError = error;
    }
    // Wait a little longer before each further attempt.
    await new Promise((resolve) => setTimeout(resolve, delay * 2 ** (attempt - 1)));
  }
  throw lastError;
}
"#,
    r#"SELECT c.name, COUNT(o.id) AS orders, SUM(o.total_cents) / 100.0 AS revenue
FROM customers AS c
LEFT JOIN orders AS o ON o.customer_id = c.id AND o.created_at >= DATE('now', '-30 days')
WHERE c.country IN ('NL', 'BE', 'LU')
GROUP BY c.id, c.name
HAVING COUNT(o.id) > 0
ORDER BY revenue DESC
LIMIT 20;
"#,
    r#"#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    char *key;
    int value;
};

/* Puts a pair in front of the list; returns the new head, or NULL when there is no memory. */
static struct node *push(struct node *head, const char *key, int value)
{
    struct node *node = malloc(sizeof(*node));
    if (node == NULL)
        return NULL;
    node->key = strdup(key);
    node->value = value;
    node->next = head;
    return node;
}

int main(int argc, char **argv)
{
    struct node *list = NULL;
    for (int i = 1; i < argc; i++)
        list = push(list, argv[i], i * 10);
    for (struct node *node = list; node != NULL; node = node->next)
        printf("%s = %d\n", node->key, node->value);
    return 0;
}
"#,
];

/// Other languages, scripts and formats, each with its name.
pub(super) const OTHERS: [(&str, &str); 31] = [
    (
        "German",
        "Der Güterzug rollte langsam über die Brücke, während die Lehrlinge am Ufer ihre Vermessungsgeräte \
        auspackten. Niemand hatte mit so frühem Frost gerechnet; trotzdem musste die Grundstücksgrenze heute noch \
        festgelegt werden, weil die Genehmigungsbehörde keine Fristverlängerung gewährte.",
    ),
    (
        "French",
        "Elle n'avait jamais aimé les départs, surtout ceux du matin, quand la gare sent encore le café froid \
        et le papier mouillé. L'été dernier, pourtant, elle s'était levée avant l'aube pour voir partir son frère.",
    ),
    (
        "Spanish",
        "¿Quién dejó la puerta abierta? El perro salió corriendo detrás del cartero y no volvió hasta la \
        noche, cansado, lleno de barro y con una zapatilla ajena entre los dientes.",
    ),
    (
        "Polish",
        "Wczoraj wieczorem zgasło światło w całej dzielnicy, więc sąsiedzi wyszli na podwórze ze świecami i \
        rozmawiali aż do północy o rzeczach, o których zwykle się nie mówi.",
    ),
    (
        "Finnish",
        "Järven jää oli vielä ohutta, mutta lapset eivät malttaneet odottaa, vaan kokeilivat sitä kepeillä \
        rannasta käsin, kunnes isoäiti huusi heidät takaisin saunan lämpöön.",
    ),
    (
        "Turkish",
        "Yağmur durunca çocuklar sokağa fırladı; su birikintilerinde kâğıttan gemiler yüzdürdüler ve akşam \
        ezanına kadar kimse onları eve çağırmadı.",
    ),
    (
        "Vietnamese",
        "Buổi sáng ở bến sông rất yên tĩnh, chỉ có tiếng mái chèo và tiếng người bán hàng gọi nhau qua \
        làn sương mỏng, trước khi chợ nổi bắt đầu đông.",
    ),
    (
        "Welsh",
        "Roedd y llwybr yn serth ac yn llithrig ar ôl y glaw, ond fe gyrhaeddon nhw'r copa cyn hanner dydd a \
        gweld y môr yn y pellter.",
    ),
    (
        "Russian",
        "Поезд опоздал на сорок минут, и пассажиры успели познакомиться: кто-то достал шахматы, кто-то \
        угощал соседей яблоками, а проводница рассказывала, как три года назад дорогу занесло снегом.",
    ),
    ("Ukrainian", "Їхня бабуся пекла хліб щосуботи, і запах розходився по всій вулиці ще до світанку."),
    (
        "Greek",
        "Το καΐκι μπήκε στο λιμάνι λίγο πριν νυχτώσει, φορτωμένο καρπούζια και ιστορίες που κανείς δεν \
        πίστευε.",
    ),
    ("Hebrew", "הרכבת האחרונה יצאה לפני שעה, ולכן הם נשארו לשבת בתחנה ודיברו עד הבוקר על הספרים שלא כתבו."),
    (
        "Arabic",
        "وصلت الرسالة بعد ثلاثة أسابيع، وكان الظرف مبللاً حتى إن العنوان لم يعد مقروءاً، لكن ساعي البريد \
        عرف الخط فحملها إلى البيت الصحيح.",
    ),
    ("Persian", "پیش از آنکه برف راه را ببندد، چوپان گوسفندها را به دره برد و چراغی کنار پنجره روشن گذاشت."),
    ("Urdu", "بارش کے بعد گلی میں پانی کھڑا تھا اور بچے کاغذ کی کشتیاں چلا رہے تھے۔"),
    (
        "Hindi",
        "सुबह की पहली बस में हमेशा वही लोग मिलते थे: दूध वाला, दो अध्यापिकाएँ और एक बूढ़ा आदमी जो हर दिन अलग टोपी \
        पहनता था।",
    ),
    ("Bengali", "নদীর ওপারে আলো জ্বলে উঠতেই মাঝি গান থামিয়ে বলল, আজ আর ঝড় আসবে না।"),
    ("Tamil", "மழை நின்றதும் குழந்தைகள் தெருவில் ஓடி விளையாடினார்கள்; பாட்டி வாசலில் அமர்ந்து கதை சொன்னாள்."),
    ("Thai", "เช้านี้ตลาดเงียบกว่าทุกวัน เพราะฝนตกหนักตั้งแต่เมื่อคืนและถนนริมคลองยังมีน้ำท่วมขัง"),
    (
        "Chinese",
        "清晨的集市还没有开门，几个卖菜的老人已经坐在路边聊天。他们说起去年的洪水，说起各自的孙子，也说起那座一直没有修好的桥。\
        天亮以后，第一辆公共汽车从山那边开来，把学生和雾气一起带进了城里。",
    ),
    (
        "Chinese with rare characters",
        "曩昔有叟，踽踽獨行於崎嶇巉巖之間，饑則採薇蕨，渴則飲溪澗；鬚髯皤然而步履矍鑠，見者莫不詫異。",
    ),
    (
        "Japanese",
        "駅前の古い喫茶店は、雨の日だけ客が増える。マスターは何も言わずにコーヒーを淹れ、窓際の席では学生がノートパソコンを\
        開いて、締め切りの近いレポートを書いていた。",
    ),
    (
        "Korean",
        "비가 그치자 골목에 아이들이 쏟아져 나왔다. 할머니는 마루에 앉아 고추를 다듬으며 누구네 집에서 밥 짓는 냄새가 나는지 \
        하나하나 맞혔다.",
    ),
    ("Georgian", "მატარებელმა დაიგვიანა და მგზავრებმა ერთმანეთის გაცნობა მოასწრეს."),
    ("Armenian", "Գնացքը ուշացավ, և ուղևորները հասցրին ծանոթանալ միմյանց հետ։"),
    ("Amharic", "ባቡሩ ዘግይቶ ስለመጣ ተሳፋሪዎቹ እርስ በርሳቸው ለመተዋወቅ ጊዜ አገኙ።"),
    ("Cherokee", "ᎠᏂᏴᏫᏯ ᎠᏂᏬᏂᏍᎬ ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ"),
    ("Mongolian script", "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ ᠦᠨ ᠲᠡᠦᠬᠡ"),
    ("emoji", "Launch day 🚀🎉 thanks to everyone 🙏🏽👩‍💻👨‍👩‍👧‍👦 see you at the party 🥳🇳🇱🇯🇵 ❤️‍🔥✅ 1️⃣2️⃣3️⃣ 🫠🫶"),
    (
        "mathematics",
        "∀ε>0 ∃δ>0: |x−x₀|<δ ⇒ |f(x)−f(x₀)|<ε; ∑ᵢ₌₁ⁿ i² = n(n+1)(2n+1)⁄6, ℝ∖ℚ ≠ ∅, 𝔼[X] = ∫ x dμ",
    ),
    ("box drawing", "┌──────┬──────┐\n│ a    │ b    │\n├──────┼──────┤\n│ 1 ▁▂▃│ ✓    │\n└──────┴──────┘\n"),
];

/// What machines write: formats, numbers, names and codes.
pub(super) const FORMATS: [(&str, &str); 12] = [
    (
        "JSON",
        r#"{"id":"ord_8fKz2","lines":[{"sku":"B-1020","qty":3,"price":12.5},{"sku":"C-77","qty":1,"price":0.99}],
        "customer":{"name":"Ana Petrova","email":"ana@example.org","vip":false,"notes":null},"total":38.49}"#,
    ),
    (
        "numbers",
        "3.14159265358979 2.71828182845905 1.41421356237310 6.02214076e23 -1.602176634e-19 42 1000000 0.001",
    ),
    (
        "digits in a row",
        "[0, 1, 0, 0, 1, 1, 0, 7, 3, 9, 2, 5, 4, 8, 6, 0, 0, 1, 0, 1, 1, 1, 0, 2, 0, 0, 3, 1]",
    ),
    (
        "a table",
        "date,open,high,low,close\n2026-01-05,187.15,188.44,183.89,185.64\n2026-01-06,184.22,185.88,183.43,\
        184.25\n2026-01-07,182.15,183.09,180.88,181.91\n",
    ),
    (
        "base64",
        "U2V2ZW4gZ3JleSBoZXJvbnMgc3Rvb2QgaW4gdGhlIHNoYWxsb3dzIGFuZCBwcmV0ZW5kZWQsIGVhY2ggZm9yIGl0cyBvd24gcmVhc29\
        ucywgbm90IHRvIGhhdmUgbm90aWNlZCB0aGUgb3RoZXIgc2l4OyAAAf6TIHRoZSB0aWRlIGNhbWUgaW4u",
    ),
    (
        "hex",
        "1c0e5b7d93fa2846bb07e1d5c29f4a680d3b76e8915c2fa4407be9d3168f5ac2 \
        7F3A90C4E51B28D60A9EF7315C84B2D0463D1FE8A79C05B2E64A8137F0D95C2B",
    ),
    (
        "identifiers",
        "req_01HZX3K9V7Q2M4N8P6R5T1W0YB 550e8400-e29b-41d4-a716-446655440000 arn:aws:iam::123456789012:role/x",
    ),
    (
        "URLs",
        "https://example.org/a/b-c_d?e=f%20g&h=i#j https://xn--bcher-kva.example:8443/%E2%82%AC/?q=1&q=2&utm_id=zz",
    ),
    (
        "a log",
        "2026-11-25T08:31:07.412Z  WARN gateway::relay: upstream=openai/0 status=502 attempt=2 dur_ms=1187 \
        msg=\"connection reset by peer (os error 104)\"\n",
    ),
    (
        "punctuation",
        "!!! ??? ... --- *** ((([[[{{{}}}]]])))<<<>>> ~~~ ^^^ ||| &&& %%% $$$ ### @@@ `` '' \"\" ;; ::",
    ),
    ("white space", "a\n\n\n\n    b\t\t\tc  \r\n\r\n d          e\n\t\n\t\t\n \n  \n   f"),
    (
        "minified code",
        "function a(b,c){for(var d=0,e=[];d<b.length;d++)c(b[d],d)&&e.push(b[d]);return e}var f=a([1,2,3],\
        function(g){return g%2}),h={x:f,y:!0,z:void 0};module.exports=h;",
    ),
];
