/**
 * What quantized models are measured with when no other text is given: prose written for this program, in Spanish and English,
 * about 2,100 tokens for Gemma. Changing it makes reports incomparable with earlier ones.
 */
export const reportText = `The ferry left the island every morning at ten past six, whether or not there was anyone to carry. Old Marian, who sold the \
tickets, said that a boat which waits for passengers soon learns to wait for the weather, and then for the tide, and in the end for \
its own paint to dry. So the crew cast off on time, with a crate of eggs and two bags of mail, and the engine coughed twice before it \
found its rhythm. On the far side of the channel the town was still dark. A baker had lit his oven; a dog trotted along the quay as if \
it had an appointment. Nobody would have guessed that this was the day on which the whole harbour would be talking about a letter.

La carta había llegado dentro de un sobre azul, sin sello y con la dirección escrita a lápiz. El cartero, que conocía la letra de todos \
los vecinos, no supo decir de quién era. La dejó sobre el mostrador de la panadería, porque allí pasaba todo el mundo antes de las \
nueve, y siguió su camino cuesta arriba con la bolsa al hombro. Durante una hora nadie la tocó. La gente compraba el pan, miraba el \
sobre de reojo y hablaba de la lluvia, del precio del aceite o de la boda del domingo. Por fin una niña de siete años, que todavía \
no había aprendido a disimular, preguntó en voz alta lo que los demás callaban: si el sobre no era de nadie, ¿por qué no lo abrían?

Bread is a patient teacher. You mix flour, water, salt and a little yeast, and for a while nothing seems to happen. The dough is heavy \
and sticks to the hands. Then, if the kitchen is warm enough, it begins to breathe: small bubbles appear under the surface, the lump \
becomes a cushion, and a finger pressed into it leaves a mark that slowly disappears. Beginners add more flour because they are afraid \
of the mess, and get a brick. Experienced bakers leave the dough alone and clean the table instead. Most of the work is done by time, \
and the rest by heat. When the loaf comes out of the oven it crackles for several minutes, a sound like light rain on dry leaves, and \
it is a mistake to cut it before it has finished talking.

En la escuela del pueblo había un mapa tan viejo que algunos países ya no existían. La maestra no quiso cambiarlo. Decía que un mapa \
equivocado enseña más que uno correcto, porque obliga a preguntar cuándo, quién y para qué se dibujaron las líneas. Cada lunes elegía \
una frontera y contaba su historia: un río que se desvió después de una tormenta, un rey que perdió una apuesta, dos familias que \
discutieron por un molino. Los alumnos aprendían los nombres antiguos y los nuevos, y también que los montes no cambian de sitio \
aunque cambien de dueño. Años después, cuando uno de ellos llegó a ser ingeniero de caminos, llevaba en la cartera una copia de aquel \
mapa, doblada en ocho, para no olvidar que toda obra se hace sobre un terreno que alguien ya había medido.

To measure the height of a tower without climbing it, wait for a sunny afternoon. Put a stick of known length upright in the ground and \
measure its shadow; then measure the shadow of the tower. The two triangles have the same shape, so the heights have the same ratio as \
the shadows. If the stick is 1.5 metres long and its shadow is 2 metres, a shadow of 48 metres belongs to a tower of 36 metres. The \
method needs flat ground, a clear sky and a little speed, since the sun does not stand still: in ten minutes the shadows grow or \
shrink enough to spoil the third digit. It is more than two thousand years old, and it still works with a pencil and a ruler on a desk.

El taller del relojero olía a aceite y a café. Sobre la mesa, bajo una lámpara verde, esperaban las piezas de un reloj de bolsillo: la \
caja, el muelle, doce ruedas y un puente de latón con las iniciales de un abuelo. «Los relojes no se estropean de golpe», explicaba él \
a quien quisiera escuchar. «Primero se atrasan un minuto a la semana, y nadie se queja. Luego se paran por la noche, y les damos \
cuerda. Cuando por fin los traen, llevan meses pidiendo ayuda.» Tenía razón, y no solo en cuanto a los relojes. Su vecina, que era \
médica, repetía la misma frase cambiando una palabra. Trabajaban pared con pared desde hacía treinta años y se prestaban las lupas.

A computer program is a letter with two readers. One of them is a machine, which does exactly what it is told and never asks why. The \
other is a person, perhaps the author a year later, who mostly asks why. It is easy to please the first reader and forget the second. \
Names are shortened, reasons are left out, and a clever line saves three simple ones. Then something breaks on a Friday evening, and \
the person has to understand what the machine never needed to know. Good programmers write for that evening. They say what a number \
means and in which unit it is counted; they keep together what changes together; and when they have to do something strange, they \
leave a note beside it that begins with the word because.

Cuando al fin abrieron el sobre, encontraron dentro una hoja cuadriculada con una sola línea: «La campana vuelve el jueves». Nadie \
entendió nada. La campana de la iglesia había desaparecido hacía más de cuarenta años, durante un invierno en que faltó hasta el \
carbón, y desde entonces las horas las daba un altavoz. Unos pensaron en una broma; otros, en una deuda antigua. El jueves amaneció \
despejado. A las diez y cuarto, el transbordador de la isla entró en el puerto con su carga de huevos y correo, y además con un bulto \
cubierto por una lona, tan pesado que la proa venía levantada. Lo bajaron entre ocho hombres. Al retirar la lona, el bronce brilló como \
si lo hubieran pulido esa misma mañana, y la niña, que se había colado hasta la primera fila, fue la única que se atrevió a tocarlo.

Nobody on the ferry could say who had paid for the journey. The captain had been given a receipt, a key and a short speech, which he \
had promised not to repeat. Marian, who had sold tickets for half a century and remembered every face, only smiled and counted her \
coins. That evening they hung the bell from two beams in the old tower, and the teacher was asked to ring it, since she had the \
strongest arms and the best sense of time. The first stroke went out over the roofs, over the quay and the dark water, and came back a \
few seconds later from the island, a little lower and a little softer, as if another bell had been waiting there all those years for \
something to answer.

Al día siguiente, la maestra escribió en la pizarra tres preguntas. ¿Cuánto pesa una campana? ¿Quién puede guardar un secreto durante \
cuarenta años? ¿Qué se hace con algo que vuelve cuando ya nos habíamos acostumbrado a vivir sin ello? Los más pequeños contestaron a la \
primera con números enormes. Los mayores discutieron la segunda hasta la hora del recreo, y estuvieron de acuerdo en que un secreto \
compartido por dos familias dura más que uno guardado por una sola, porque ninguna quiere ser la primera en hablar. A la tercera no \
respondió nadie. La maestra no la borró. Siguió en la pizarra toda la primavera, encima de las sumas y de los verbos irregulares, y de \
vez en cuando alguien levantaba la mano en mitad de otra lección para decir que se le había ocurrido algo.

The recipe for the soup they served that week has not changed since. Cut two onions, three carrots and a stick of celery into small \
pieces and let them soften in olive oil over a low fire; they should never turn brown. Add a handful of lentils, a bay leaf and a litre \
and a half of water, and let everything simmer for forty minutes. In another pan toast a slice of old bread with a clove of garlic, \
crush both with a little paprika, and stir the paste into the pot at the end. Salt it last, because lentils cooked in salted water \
stay hard. Six people can eat from it, or four who have spent the morning carrying bells. What is left tastes better on the second day, \
which is true of most soups and of a fair number of stories.

Desde entonces, cuando la niebla no deja ver la isla, el sacristán toca tres veces la campana y espera. Los turistas preguntan si se \
trata de una señal para los barcos, y él contesta que sí, porque es la respuesta más corta. Pero los del pueblo saben que también es \
una manera de dar las gracias, aunque no se sepa a quién. En el archivo municipal hay una carpeta con todo lo que se pudo averiguar: un \
recibo sin firma, dos fotografías borrosas, el sobre azul y la hoja cuadriculada. Una estudiante que preparaba su tesis la pidió hace \
poco. Después de leerla dos veces, la cerró con cuidado, la devolvió y dijo que prefería cambiar de tema: algunas historias, explicó, \
se estropean si uno encuentra la última pieza.

Marian retired the following year. On her last day she walked the length of the ferry, touched the rail where the paint was thinnest, \
and told the boy who would take her place that the job had only two rules: give the right change, and never ask people why they are \
crossing. He wrote both on the inside of the ticket drawer. Under them, in a much older hand and almost rubbed away, he found a third \
one that she had not mentioned: leave on time. He looked at the clock above the door. It was nine minutes past six, the crew had already \
pulled in the plank, and somewhere behind the fog a bell was ringing.
`
